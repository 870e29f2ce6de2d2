"""The tiny world's held-out distributions as tasks of the three axes; `spectrum-trl tiny` runs them."""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.models.huggingface import HFLM
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.evaluation.aggregates import Aggregation, ratio
from spectrum_trl.evaluation.axis_tasks import Item
from spectrum_trl.evaluation.distributional import Distributional
from spectrum_trl.evaluation.diversity import STOP, Diversity
from spectrum_trl.evaluation.evaluate import Setup, run_task
from spectrum_trl.evaluation.harness import HarnessTask
from spectrum_trl.evaluation.icl import Icl
from spectrum_trl.metrics.diversity import clean, expected_unique, expected_yield, summarise
from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import PlainTemplate
from spectrum_trl.scoring.lm import SpectrumLM
from spectrum_trl.suite.sequences.builders import description_message, iid, pair
from spectrum_trl.suite.task import Message
from spectrum_trl.tiny import scores
from spectrum_trl.tiny.evaluation_items import OUTPUTS, SAMPLES, HeldPart, evaluation_items, probabilities

# lm-eval warns that settings of loading are ignored for a model that is loaded already.
logging.getLogger(HFLM.__module__).addFilter(lambda record: "`pretrained`" not in str(record.msg))
# Longer than any held-out answer, in any tokenizer that reads numbers digit by digit.
MAX_NEW_TOKENS = 12
# Samples stored to be shown.
SHOWN = 3
# Outputs after so many are late.
LATE = 8
# The end of a chat prompt without an input, see `prompts.formats`.
QUESTION = "Generate."


class Tiny(HarnessTask):
    """The common part of the three kinds of tasks: items, wording, two endings of an output in plain text."""

    @property
    def items(self) -> Any:
        """The items of the task's kind, of the seed and the part."""
        return getattr(evaluation_items(self.options.seed, part=self.own["part"]), self.own["items"])

    def messages(self, row: dict[str, Any]) -> list[Message]:
        """Return the description in the wording of the prompts, which is no part of a row."""
        return [description_message(self.own["wording"].format(row["description"]))]

    def scored_apart(self, context: str, *texts: str) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield requests for outputs; in plain text one may end its paragraph or the whole text."""
        end, last = self.prompts.end, str(self.prompts.tokenizer.eos_token)
        ended = [text.removesuffix(end) + last for text in texts] if self.prompts.fmt == "colon" else []
        return super().scored_apart(context, *texts, *ended)

    def logs(self, answers: Sequence[Any], *, n: int) -> NDArray[np.float64]:
        """Return the log-probability of each of n outputs after one context."""
        values, size = np.array([answer[0] for answer in answers]), n * (1 + (self.prompts.fmt == "colon"))
        lead = values[size] if len(values) > size else 0.0
        found: NDArray[np.float64] = np.logaddexp.reduce(values[:size].reshape(-1, n)) - lead
        return found


class TinyUrn(Tiny, Distributional):
    """Reading counts as probabilities."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per urn; urns with equal shares are not independent."""
        rows = []
        for world in self.items:
            p = probabilities(world)
            cluster = " ".join(f"{share:.4f}" for share in sorted(p.values()))
            row = Item(world.description, "", tuple(p), tuple(p.values()), None, cluster)._asdict()
            # Its shares are exact, and recorded results know their rows by all that is in them.
            del row["n_answers"]
            rows.append(row)
        return rows

    def score(self, row: dict[str, Any], answers: Sequence[Any]) -> dict[str, Any]:
        """Return the axis's metrics, and the slope of the model's shares on the true ones.

        The slope is 1 for a model that reads the counts, and 0 for one whose shares are even.
        """
        logs, p = self.logs(answers, n=len(row["candidates"])), np.array(row["target"])
        true, found = (shares - 1 / p.size for shares in (p, np.exp(logs - np.logaddexp.reduce(logs))))
        slope = [float(true @ found), float(true @ true)] if np.ptp(p) else [0.0, 0.0]
        return super().score(row, logs[:, None].tolist()) | {"slope": [*slope, row["cluster"]]}

    def aggregation(self) -> Aggregation:
        """Return the aggregation function of each metric."""
        return super().aggregation() | {"slope": ratio}


class TinySequences(Tiny, Icl):
    """Learning hidden parameters from samples."""

    # Each sequence has labels of its own, and all are short.
    _is_closed = _has_rare_long = False

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per sequence."""
        return [
            {"id": str(n), "description": description, "messages": iid(outputs, description=description)}
            for n, (description, outputs) in enumerate(
                zip(self.items.descriptions, self.items.outputs, strict=True)
            )
        ]

    def messages(self, row: dict[str, Any]) -> list[Message]:
        """Return the description and all outputs."""
        outputs = row["messages"][1:]
        if self.prompts.fmt.startswith("chat"):
            # A chat model answers questions; the same one each time makes each context a prefix of the next.
            outputs = [turn for output in outputs for turn in pair(QUESTION, output["content"])]
        return [*super().messages(row), *outputs]

    def score(self, row: dict[str, Any], answers: Sequence[Any]) -> dict[str, Any]:
        """Return the axis's metrics, and the loss above optimal of each output."""
        step = len(answers) // OUTPUTS
        logs = np.array([self.logs(answers[n : n + step], n=1) for n in range(0, len(answers), step)])
        late, regrets = -logs[LATE:], -logs[:, 0] - self.items.optimal[int(row["id"])]
        own = {"loss_late": [float(late.sum()), late.size], "regrets": regrets.tolist()}
        return super().score(row, logs.tolist()) | own

    def aggregation(self) -> Aggregation:
        """Return the aggregation function of each metric."""
        return super().aggregation() | {"loss_late": ratio, "regrets": _mean}

    def higher_is_better(self) -> dict[str, bool]:
        """Return the direction of each metric."""
        return super().higher_is_better() | {"loss_late": False}


class TinySamples(Tiny, Diversity):
    """Drawing from described distributions: one row per prompt, in place of the axis's single one."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per prompt."""
        return [{"number": n, "description": world.description} for n, world in enumerate(self.items)]

    def requests(self, row: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the same request once per sample."""
        context = self.prompts.prompt(self.messages(row))
        settings = {**self.SETTINGS, "until": self._stops, "max_gen_toks": MAX_NEW_TOKENS}
        for _ in range(SAMPLES):
            yield "generate_until", (context, settings)

    @property
    def _stops(self) -> list[str]:
        # In plain text a sample ends with its line; in a chat, one that goes on in the next line is invalid.
        return [self.prompts.end, *([STOP] if self.prompts.fmt == "colon" else [])]

    def score(self, row: dict[str, Any], answers: Sequence[str]) -> dict[str, Any]:
        """Return the metrics of the samples, of an exact sampler, and of one that draws evenly."""
        shares = probabilities(self.items[row["number"]])
        p, even = list(shares.values()), [1 / len(shares)] * len(shares)
        texts = [clean(answer, stops=self._stops) for answer in answers]
        found = summarise(texts, [text in shares for text in texts])
        values = found._asdict() | {
            "exact_unique": expected_unique(p, n=round(found.share_valid * found.n)),
            "exact_collision": sum(share**2 for share in p),
            "exact_yield": expected_yield(p, n=SAMPLES),
            "even_collision": 1 / len(p),
            "even_yield": expected_yield(even, n=SAMPLES),
        }
        # Prompts that differ in wording alone are not independent.
        world = " ".join(re.findall(r"[0-9]+", row["description"]))
        return {name: [float(values[name]), 1, world] for name in self.aggregation()}

    def aggregation(self) -> Aggregation:
        """Return the aggregation function of each metric."""
        return dict.fromkeys(scores.METRICS[scores.URNS], ratio)


KINDS: dict[str, tuple[type[Tiny], str]] = {
    scores.URN: (TinyUrn, "urns"),
    scores.COIN: (TinySequences, "coin"),
    scores.CATEGORICAL: (TinySequences, "die"),
    scores.NUMBERS: (TinySequences, "number"),
    scores.URNS: (TinySamples, "full_urns"),
    scores.RANGES: (TinySamples, "ranges"),
}


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int = 0,
    part: HeldPart = "evaluation",
    fmt: Format = "spectrum",
    wording: str = "{}",
    plain: PlainTemplate = "colon",
) -> scores.TinyResult:
    """Measure a model; the same seed gives the same items for every model.

    Args:
        model: Any causal language model, on any device.
        tokenizer: Its tokenizer.
        seed: Non-negative seed of the worlds and the samples.
        part: The held-out part: ``evaluation``, or ``choice`` for choosing settings.
        fmt: Format of the prompts.
        wording: How a prompt states a description; ``{}`` is replaced by it.
        plain: Plain-text template for the format ``colon``.

    Raises:
        UserError: If the tokenizer does not support the format, or the model's context is too short.
    """
    setup = Setup(SpectrumLM.__name__, {}, {"seed": seed}, Path(), limit=None, include=())
    lm = SpectrumLM(model, tokenizer=tokenizer)
    rows, directions = {}, {}
    for name, (kind, items) in KINDS.items():
        own = {"items": items, "part": part, "wording": wording, "plain": plain}
        metadata = {"tokenizer": tokenizer, "format": fmt, "seed": seed}
        found = run_task(kind({"task": name, "spectrum": own, "metadata": metadata}), setup, lm=lm)
        assert found is not None
        rows[name] = [_kept(name, row) for row in found["samples"][name]]
        higher = found["higher_is_better"][name]
        directions[name] = {metric: higher[metric] for metric in scores.METRICS[name] if metric in higher}
    return scores.TinyResult(seed=seed, fmt=fmt, part=part, higher_is_better=directions, rows=rows)


def _mean(rows: list[Any]) -> float:
    return float(np.mean(rows))


def _kept(task: str, row: dict[str, Any]) -> scores.Row:
    """Return what is kept of a row of lm-eval's samples."""
    return scores.Row(
        doc_id=row["doc_id"],
        doc_hash=row["doc_hash"],
        values={name: row[name] for name in scores.METRICS[task]},
        regrets=row.get("regrets", []),
        prompt=row["doc"]["description"],
        first=row["filtered_resps"][:SHOWN] if task in scores.SAMPLES else [],
    )
