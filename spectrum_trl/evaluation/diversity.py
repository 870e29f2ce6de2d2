"""Diversity and validity of samples of one prompt, as an lm-evaluation-harness task.

Source: Spectrum Tuning (arXiv 2510.06084), diversity and yield.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from spectrum_trl.evaluation import aggregates
from spectrum_trl.evaluation.axis_tasks import DiversityTask, diversity_tasks
from spectrum_trl.evaluation.harness import FULL, HarnessTask, Missing, logger
from spectrum_trl.evaluation.judging.judge import verdicts
from spectrum_trl.evaluation.own.tasks import own_diversity
from spectrum_trl.evaluation.verbalized import ask_for_answers, draw_answer
from spectrum_trl.metrics.diversity import clean, expected_unique, expected_yield, sample_intervals, summarise
from spectrum_trl.metrics.intervals import Interval, mean_interval
from spectrum_trl.paths import data_dir
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.task import Message

HIGHER = {
    **dict.fromkeys(("share_valid", "share_unique", "yield_count", "yield_share", "unique_of_all"), True),
    **{"recall": True, "parsed": True, "collision": False},
}
ENDS = tuple(f"{name}_{end}" for name in HIGHER for end in ("low", "high"))
# In every task an answer is one line.
STOP = "\n"


class Diversity(HarnessTask):
    """One prompt, sampled many times."""

    OUTPUT = "generate_until"
    VERBALIZES = True
    # lm-eval's --gen_kwargs override these.
    SETTINGS: Mapping[str, Any] = FULL | {"until": [STOP]}

    def rows(self) -> list[dict[str, Any]] | Missing:
        """Return the only row: description and examples of the prompt."""
        folder = data_dir(self.options.data_dir)
        self.task: DiversityTask = self.defined(
            diversity_tasks(), partial(own_diversity, name=str(self.config.task))
        )
        if absent := self.task.absent(folder):
            return absent
        self.valid = self.task.validator(folder)
        # They decide which answers are valid, so they affect the results as rows do.
        self.files_beside_rows: list[Path] = [
            file for pattern in self.task.files for file in sorted(folder.glob(pattern))
        ]
        return [{"description": self.task.description, "examples": list(self.task.examples)}]

    def requests(self, row: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the same request once per sample."""
        messages = _messages(row, mode=self.options.mode)
        settings = {
            **(self.config.generation_kwargs or {}),
            "until": [self.prompts.end, STOP],
            "max_gen_toks": self.task.max_new_tokens,
        }
        if self.options.format == "verbalized":
            request = ask_for_answers(
                messages, prompts=self.prompts, settings=settings, context=self.options.context()
            )
        else:
            context = self.prompts.prompt(messages)
            self.check_length(context, "a" * self.task.max_new_tokens)
            request = ("generate_until", (context, settings))
        for _ in range(self.options.samples):
            yield request

    def score(self, row: dict[str, Any], answers: Sequence[str]) -> dict[str, Any]:
        """Return the metrics of the samples."""
        found: dict[str, Any] = {"samples": len(answers)}
        if self.options.format == "verbalized":
            name = str(self.config.task)
            streams = (
                stream(self.options.seed, task=name, purpose="verbalized answer", id=n)
                for n in range(len(answers))
            )
            drawn = [draw_answer(answer, rng=rng) for answer, rng in zip(answers, streams, strict=True)]
            found |= _figure(
                "parsed", mean_interval([text is not None for text in drawn], seed=0, within=(0, 1))
            )
            texts = [text or "" for text in drawn]
        else:
            texts = [clean(answer, stops=(self.prompts.end, STOP)) for answer in answers]
        texts = [self.task.canonical(text) for text in texts]
        judged = verdicts(self.valid, texts)
        if None in judged:
            logger.warning(
                "%s has no result yet: the judge did not answer for %d of %d texts, which are saved; run the "
                "same command again later",
                self.config.task,
                judged.count(None),
                len(judged),
            )
            return {}
        valid = [bool(verdict) for verdict in judged]
        if not any(valid):
            logger.warning("%s: the validator accepts none of the %d answers", self.config.task, len(valid))
        summary = summarise(texts, valid, possible=self.task.universe)
        for name, interval in self._intervals(texts, valid).items():
            found |= _figure(name, interval._replace(mean=float(getattr(summary, name))))
        if self.task.universe:
            p = [1 / len(self.task.universe)] * len(self.task.universe)
            found["exact_yield"] = [expected_yield(p, n=sum(valid)), 1]
            found["exact_unique"] = [expected_unique(p, n=sum(valid)), 1]
        return found

    def _intervals(self, texts: Sequence[str], valid: Sequence[bool]) -> dict[str, Interval]:
        """Return the interval of each metric; those with a fixed denominator follow from the yield's."""
        found = sample_intervals(texts, valid)
        found["yield_share"] = _divided(found["yield_count"], len(texts))
        if self.task.universe:
            found["recall"] = _divided(found["yield_count"], len(self.task.universe))
        return found

    def aggregation(self) -> aggregates.Aggregation:
        """Return how the values of the only row are aggregated."""
        plain = (*HIGHER, *ENDS, "exact_yield", "exact_unique")
        return aggregates.aggregations({}, plain=plain) | {"samples": aggregates.total}

    def higher_is_better(self) -> dict[str, bool]:
        """Return the direction of each metric."""
        return dict(HIGHER)


def _figure(name: str, interval: Interval) -> dict[str, list[float] | None]:
    ends = {f"{name}_low": interval.low, f"{name}_high": interval.high}
    found = {name: interval.mean, **ends}.items()
    return {key: [value, 1] if math.isfinite(value) else None for key, value in found}


def _divided(interval: Interval, n: int) -> Interval:
    return Interval(*(min(1.0, end / n) for end in interval))


def _messages(row: dict[str, Any], *, mode: str) -> list[Message]:
    messages: list[Message] = []
    if mode != "examples":
        messages.append({"role": "description", "content": row["description"]})
    if mode != "description":
        messages += [{"role": "output", "content": text} for text in row["examples"]]
    return messages
