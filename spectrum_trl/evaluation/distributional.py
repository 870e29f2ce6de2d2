"""Distributional alignment as lm-eval tasks: a model's probabilities of answers against their true shares.

Source: Spectrum Tuning (arXiv 2510.06084), distributional alignment.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from spectrum_trl.evaluation import aggregates
from spectrum_trl.evaluation.aggregates import Metric
from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item, distributional_tasks
from spectrum_trl.evaluation.harness import FULL, HarnessTask, Missing, logger
from spectrum_trl.evaluation.headlines import SIMBENCH
from spectrum_trl.evaluation.own.tasks import own_distributional
from spectrum_trl.evaluation.results import LOW_COVERAGE
from spectrum_trl.evaluation.verbalized import ask_for_shares, named, read_shares
from spectrum_trl.metrics.distributional import (
    Comparison,
    compare,
    compare_as_published,
    compare_logs,
    expected_total_variation,
    noise_floor,
    ordinal_distance,
)
from spectrum_trl.metrics.diversity import clean
from spectrum_trl.paths import data_dir
from spectrum_trl.suite.task import Message

METRICS = {
    "js_divergence": Metric(False, (0.0, float(np.log(2)))),
    "kl_divergence": Metric(False, (0.0, np.inf)),
    "reverse_kl": Metric(False, (0.0, np.inf)),
    "cross_entropy": Metric(False, (0.0, np.inf)),
    "log_loss": Metric(False, (0.0, np.inf)),
    "total_variation": Metric(False),
    "mode_match": Metric(True),
    # Answers outside the candidates may be right too.
    "coverage": Metric(None),
}
# An answer that was never drawn is not impossible, so these say nothing of drawn shares.
OF_PROBABILITIES = ("kl_divergence", "reverse_kl", "cross_entropy", "log_loss")
DRAWN = {"excess_total_variation": Metric(False, (-1.0, 1.0))}
# Tokens of a drawn answer beyond those of the longest candidate: `B. Somewhat` names B.
ROOM = 8
PARSED = {"parsed": Metric(True)}
UNIFORM = {f"uniform_{name}": metric for name, metric in METRICS.items() if name != "coverage"}
# What a perfect model reaches, and what answering every question alike reaches.
FLOOR = {"floor_js_divergence": METRICS["js_divergence"]}
MARGINAL = {f"marginal_{name}": METRICS[name] for name in ("js_divergence", "log_loss")}
ORDINAL = {"ordinal_distance": Metric(False), "uniform_ordinal_distance": Metric(None)}
# Nobody reads a table of more groups than this; the samples name each row's group.
MOST_GROUPS = 12


class Distributional(HarnessTask):
    """One data set of questions whose distribution of answers is known."""

    VERBALIZES = True
    # All items of the data set; none where other items say nothing about one.
    every: Sequence[Item] = ()

    def rows(self) -> list[dict[str, Any]] | Missing:
        """Return one row per question and group."""
        folder, seed = data_dir(self.options.data_dir), self.options.seed
        task: DistributionalTask = self.defined(distributional_tasks(), own_distributional)
        if absent := task.absent(folder):
            return absent
        self.every, dropped = _built(task, folder, seed)
        items = task.choose(self.every, seed=seed, most=self.options.sequences)
        self.config.metadata["left_out"] = dict(dropped)
        logger.info("%s: %d items; left out: %s", self.config.task, len(items), dict(dropped) or "none")
        return [item._asdict() for item in items]

    def requests(self, row: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the requests of each candidate."""
        if self.options.format == "verbalized":
            yield ask_for_shares(row, prompts=self.prompts, context=self.options.context())
            return
        context = self.prompts.prompt(self.messages(row))
        if self._drawn:
            yield from [self._sample(row, context)] * self.options.samples
            return
        texts = [self._scored(candidate) for candidate in row["candidates"]]
        self.check_length(context, max(texts, key=len))
        yield from self.scored_apart(context, *texts)

    @property
    def _drawn(self) -> bool:
        return self.options.elicit == "drawn"

    @property
    def format(self) -> str:
        """The format of the prompts, and whether answers are drawn."""
        return f"{super().format}, drawn" if self._drawn else super().format

    def _sample(self, row: dict[str, Any], context: str) -> tuple[str, tuple[Any, ...]]:
        """Return the request for one answer."""
        longest = max(map(self.prompts.answer, row["candidates"]), key=len)
        self.check_length(context, longest)
        ids = self.prompts.tokenizer(row["candidates"], add_special_tokens=False)["input_ids"]
        most = max(map(len, ids)) + ROOM
        return "generate_until", (context, {**FULL, "until": self._stops(row), "max_gen_toks": most})

    def _stops(self, row: dict[str, Any]) -> list[str]:
        broken = any("\n" in candidate for candidate in row["candidates"])
        return [self.prompts.end, *([] if broken else ["\n"])]

    def messages(self, row: dict[str, Any]) -> list[Message]:
        """Return the prompt of a row."""
        description: list[Message] = (
            [{"role": "description", "content": row["description"]}] if row["description"] else []
        )
        return [*description, {"role": "input", "content": row["input"]}]

    def _scored(self, candidate: str) -> str:
        text = self.prompts.answer(candidate)
        return text if self.options.scoring == "with_end" else text.removesuffix(self.prompts.end)

    def score(self, row: dict[str, Any], answers: Sequence[Any]) -> dict[str, Any]:
        """Return the comparison of a row's shares, and that of the uniform guess."""
        chosen = compare_as_published if self.options.scoring == "published" else compare
        found: dict[str, Any] = {"items": 1}
        n_drawn = None
        if self.options.format == "verbalized":
            observed = read_shares(answers[0], candidates=row["candidates"])
            found |= aggregates.with_interval("parsed", [float(observed is not None), 1, row["cluster"]])
            if observed is None:
                return dict.fromkeys(self.aggregation()) | found | {"items": None}
            comparison = chosen(row["target"], observed)
        elif self._drawn:
            counts = self._counts(row, answers)
            observed, n_drawn = counts / len(answers), int(counts.sum())
            comparison = chosen(row["target"], observed)
            expected = expected_total_variation(row["target"], n=n_drawn) if n_drawn else 0.0
            found |= _known({"excess_total_variation": comparison.total_variation - expected}, row)
        else:
            comparison, observed = self._compared(row, answers)
        found[LOW_COVERAGE] = [comparison.coverage, 1]
        for name in (name for name in METRICS if name in self._metrics):
            value = [float(getattr(comparison, name)), 1, row["cluster"]]
            found |= aggregates.with_interval(name, value)
        for group in self._groups:
            own = found["js_divergence"] if row["group"] == group else None
            found |= aggregates.with_interval(f"js_divergence[{group}]", own)
            found[f"items[{group}]"] = int(row["group"] == group)
        n = len(row["target"])
        guess = chosen(row["target"], [1 / n] * n)
        for name in UNIFORM:
            value = [float(getattr(guess, name.removeprefix("uniform_"))), 1, row["cluster"]]
            found |= aggregates.with_interval(name, value)
        found[SIMBENCH] = [comparison.total_variation, guess.total_variation]
        return found | _floor(row, n_drawn) | self._marginal(row, chosen) | self._ordinal(row, observed)

    def _compared(
        self, row: dict[str, Any], answers: Sequence[Any]
    ) -> tuple[Comparison, NDArray[np.float64]]:
        """Return the comparison of the candidates' probabilities, and these, normalised."""
        n = len(row["candidates"])
        space = answers[n][0] if len(answers) > n else 0.0
        logs = np.array([answer[0] - space for answer in answers[:n]])
        published = self.options.scoring == "published"
        return compare_logs(row["target"], logs, published=published), softmax(logs)

    def _counts(self, row: dict[str, Any], answers: Sequence[str]) -> NDArray[np.float64]:
        """Return how often each candidate was drawn; other answers count for none."""
        stops, counts = self._stops(row), np.zeros(len(row["candidates"]))
        for text, n in Counter(clean(answer, stops=stops) for answer in answers).items():
            if (place := named(text, row["candidates"])) is not None:
                counts[place] += n
        return counts

    @cached_property
    def _metrics(self) -> dict[str, Metric]:
        if not self._drawn:
            return METRICS
        return {name: one for name, one in METRICS.items() if name not in OF_PROBABILITIES} | DRAWN

    def _marginal(self, row: dict[str, Any], chosen: Callable[..., Comparison]) -> dict[str, Any]:
        """Return the divergence and the loss of answering as the group does on average."""
        if not self._has_marginal:
            return _known(dict.fromkeys(MARGINAL), row)
        guess = np.full(len(row["target"]), 1 / len(row["target"]))
        others = self._others(row)
        # So that the mean is over the same items as a model's.
        divergence = chosen(row["target"], guess if others is None else others / others.sum()).js_divergence
        # An answer that no other question has would be impossible, so the guess counts as one more question.
        smoothed = guess if others is None else (others + guess) / (others.sum() + 1)
        return _known(
            dict(zip(MARGINAL, (divergence, chosen(row["target"], smoothed).log_loss), strict=True)), row
        )

    @cached_property
    def _has_marginal(self) -> bool:
        return any(self._others(item._asdict()) is not None for item in self.every)

    def _others(self, row: dict[str, Any]) -> NDArray[np.float64] | None:
        """Return the sum of shares over the group's questions with the same answers but this one."""
        key = (row["group"], *row["candidates"])
        rest = self._sums[key] - self._sums.get((key, row["cluster"]), 0.0)
        # The shares of a question sum to 1; rounding may leave slightly less than 0 of an answer.
        return np.maximum(rest, 0.0) if rest.sum() > 0.5 else None

    @cached_property
    def _sums(self) -> dict[tuple[Any, ...], NDArray[np.float64]]:
        """Sums of shares over the questions of each group with the same answers, and over each cluster.

        Of all questions, because few of them, such as those evaluated, would make a poor baseline.
        """
        found: dict[tuple[Any, ...], NDArray[np.float64]] = {}
        for item in self.every:
            key = (item.group, *item.candidates)
            for each in (key, (key, item.cluster)):
                found[each] = found.get(each, np.zeros(len(item.target))) + item.target
        return found

    def _ordinal(self, row: dict[str, Any], observed: ArrayLike) -> dict[str, Any]:
        if not self._ordered:
            return {}
        n = len(row["target"])
        # Nothing is observed where all answers are impossible.
        known = np.isfinite(observed).all() and np.sum(observed) > 0
        distances = (
            ordinal_distance(row["target"], observed) if known else None,
            ordinal_distance(row["target"], np.full(n, 1 / n)),
        )
        return _known(dict(zip(ORDINAL, distances, strict=True)), row)

    @cached_property
    def _ordered(self) -> bool:
        name = self.own.get("task", "")
        return name in distributional_tasks() and distributional_tasks()[name].ordered

    @cached_property
    def _groups(self) -> list[str]:
        groups = sorted({group for group in self.dataset["test"]["group"] if group})
        return groups if len(groups) <= MOST_GROUPS else []

    def aggregation(self) -> aggregates.Aggregation:
        """Return means over items, with intervals clustered by question."""
        groups = [] if self.missing else self._groups
        of_groups = {f"js_divergence[{group}]": METRICS["js_divergence"] for group in groups}
        counts = dict.fromkeys(("items", *(f"items[{group}]" for group in groups)), aggregates.total)
        metrics = self._metrics | PARSED | UNIFORM | FLOOR | MARGINAL | ORDINAL | of_groups
        means = {LOW_COVERAGE: aggregates.is_low, SIMBENCH: _simbench}
        return aggregates.aggregations(metrics) | counts | means

    def higher_is_better(self) -> dict[str, bool]:
        """Return the direction of each metric."""
        return aggregates.directions(self._metrics | PARSED | ORDINAL) | {SIMBENCH: True}


def _known(values: dict[str, float | None], row: dict[str, Any]) -> dict[str, Any]:
    """Return a row's values, each with the ends of its interval; None where a value is unknown."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= aggregates.with_interval(name, None if value is None else [value, 1, row["cluster"]])
    return found


def _floor(row: dict[str, Any], n_drawn: int | None) -> dict[str, Any]:
    """Return the divergence of a perfect model."""
    # The noise of two counts adds up, nearly.
    noise = [noise_floor(row["target"], n=n) for n in (row.get("n_answers"), n_drawn) if n]
    return _known(dict.fromkeys(FLOOR, sum(noise) if noise else None), row)


def _simbench(rows: list[aggregates.Row]) -> float | None:
    """Return SimBench's S, 0 for the uniform guess and 100 for a perfect model, from total variations."""
    ratio = aggregates.ratio(rows)
    return None if ratio is None else 100 * (1 - ratio)


@cache
def _built(task: DistributionalTask, folder: Path, seed: int) -> tuple[Sequence[Item], Counter[str]]:
    dropped: Counter[str] = Counter()
    return task.items(folder, seed=seed, dropped=dropped), dropped
