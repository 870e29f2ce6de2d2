"""Compare two evaluations row by row: what improved, what fell, and what stayed as it was."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.headlines import COMPARED, LOWEST_COVERAGE, is_of_shares
from spectrum_trl.evaluation.results import Results, Value
from spectrum_trl.metrics.intervals import (
    Interval,
    mean_interval,
    ratio_interval,
    ratio_values,
    stratified_interval,
)

LEVEL = 0.05
RESAMPLES = 9999
# Resamples held in memory at once: a mean over tasks may run over tens of thousands of rows.
BATCH = 200
SEED = 0


class Difference(NamedTuple):
    """One task and metric of two evaluations.

    Attributes:
        task: Its name.
        metric: Its name.
        n: Rows that both have.
        clusters: Independent groups of these rows.
        left_out: Rows that only one of them has, or that ask for something else.
        first: Mean of the first evaluation over the outputs of these rows.
        second: Mean of the second.
        difference: Second minus first, row by row, with its interval.
        p: Of no difference, corrected over all tasks (Holm); NaN for a single cluster or infinite values.
        verdict: ``improved``, ``fell``, ``changed`` for a metric without a direction, ``unchanged``,
            ``low coverage`` for shares where a model gives the candidates next to no probability, or ``not
            tested`` where p is NaN.
    """

    task: str
    metric: str
    n: int
    clusters: int
    left_out: int
    first: float
    second: float
    difference: Interval
    p: float
    verdict: str


class Mean(NamedTuple):
    """The mean over tasks of their differences, each task weighing the same.

    Attributes:
        difference: With its interval, over the rows of these tasks; where every task has a single cluster,
            over such tasks.
        p: Of no difference, not corrected.
        tasks: How many it runs over.
        left_out: Tasks of this metric that it does not: they have infinite values, or a single cluster
            beside tasks that have several.
    """

    difference: Interval
    p: float
    tasks: int
    left_out: int


class Unpaired(NamedTuple):
    """A task and metric that could not be compared.

    Attributes:
        task: Its name.
        metric: Its name.
        reason: Why.
    """

    task: str
    metric: str
    reason: str


class Comparison(NamedTuple):
    """Two evaluations.

    Attributes:
        tasks: Each task and metric.
        means: Metric to its mean over tasks, where it has several.
        unpaired: What only one of the evaluations has.
        formats: Task to the formats of its prompts, where they are not the same.
    """

    tasks: list[Difference]
    means: dict[str, Mean]
    unpaired: list[Unpaired]
    formats: dict[str, tuple[str, str]]


class _Pairs(NamedTuple):
    """The rows that both have: cluster by cluster, sums of both sides, shape (clusters, 2), and counts."""

    task: str
    metric: str
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]
    n: int
    left_out: int

    def changes(self) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums[:, 1] - self.sums[:, 0])


def compare(first: Results, second: Results, *, metrics: Sequence[str] = COMPARED) -> Comparison:
    """Compare two evaluations by the rows that both have.

    The chance of no difference is that of random signs of the differences, whatever their distribution. Rows
    of one cluster, as questions asked of several groups, share their sign.

    Args:
        first: For example of a model before tuning.
        second: For example after.
        metrics: To compare; a task that lacks one on both sides is passed over for it.

    Raises:
        UserError: If no row of any task is in both.
    """
    pairs: list[_Pairs] = []
    unpaired: list[Unpaired] = []
    for task in sorted(first.rows.keys() | second.rows.keys()):
        for metric in metrics:
            ours, theirs = (side.rows.get(task, {}).get(metric, {}) for side in (first, second))
            if ours.keys() & theirs.keys():
                pairs.append(_paired(task, metric, ours, theirs))
            elif ours or theirs:
                reason = "no row in common" if ours and theirs else f"only in the {_side(ours)}"
                unpaired.append(Unpaired(task, metric, reason))
    if not pairs:
        raise UserError(
            f"{first.file} and {second.file} have no row of {', '.join(metrics)} in common: evaluate both on "
            "the same tasks, data and seed"
        )
    low = _low_coverage(first) | _low_coverage(second)
    hollow = [is_of_shares(one.metric) and one.task in low for one in pairs]
    chances = _corrected(
        [float("nan") if no else _p(one.changes()) for one, no in zip(pairs, hollow, strict=True)]
    )
    higher = first.higher_is_better
    tasks = [
        _difference(one, p=p, higher=higher.get(one.task, {}).get(one.metric), hollow=no)
        for one, p, no in zip(pairs, chances, hollow, strict=True)
    ]
    pairs = [one for one, no in zip(pairs, hollow, strict=True) if not no]
    means = {metric: _mean([one for one in pairs if one.metric == metric]) for metric in metrics}
    both = {one.task: (first.formats.get(one.task, "?"), second.formats.get(one.task, "?")) for one in pairs}
    formats = {task: (ours, theirs) for task, (ours, theirs) in both.items() if ours != theirs}
    return Comparison(tasks, {name: mean for name, mean in means.items() if mean}, unpaired, formats)


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    return {
        "tasks": [one._asdict() | {"difference": one.difference._asdict()} for one in found.tasks],
        "means": {
            name: mean._asdict() | {"difference": mean.difference._asdict()}
            for name, mean in found.means.items()
        },
        "unpaired": [lost._asdict() for lost in found.unpaired],
        "formats": found.formats,
    }


def _side(ours: Mapping[Any, Value]) -> str:
    return "first" if ours else "second"


def _paired(
    task: str, metric: str, ours: Mapping[tuple[int, str], Value], theirs: Mapping[tuple[int, str], Value]
) -> _Pairs:
    common = sorted(ours.keys() & theirs.keys())
    clusters: dict[Any, NDArray[np.float64]] = {}
    for key in common:
        before, after = ours[key], theirs[key]
        # A row may have fewer outputs on one side, where that model reads less.
        weight = (before.outputs + after.outputs) / 2
        name = key if before.cluster is None else before.cluster
        row = np.array([before.mean * weight, after.mean * weight, weight])
        clusters[name] = clusters.get(name, np.zeros(3)) + row
    table = np.array(list(clusters.values()))
    left_out = len(ours.keys() | theirs.keys()) - len(common)
    return _Pairs(task, metric, table[:, :2], table[:, 2], len(common), left_out)


def _p(changes: NDArray[np.float64]) -> float:
    if changes.size < 2 or not np.isfinite(changes).all():
        return float("nan")
    if not changes.any():
        return 1.0
    found = permutation_test(
        (changes,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        batch=BATCH,
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def _corrected(raw: list[float]) -> list[float]:
    corrected = np.array(raw)
    known = ~np.isnan(corrected)
    if known.any():
        corrected[known] = multipletests(corrected[known], alpha=LEVEL, method="holm")[1]
    return [float(p) for p in corrected]


def _low_coverage(results: Results) -> set[str]:
    """Return the tasks whose candidates have next to no probability together."""
    means = {
        task: np.mean([value.mean for value in metrics["coverage"].values()])
        for task, metrics in results.rows.items()
        if metrics.get("coverage")
    }
    return {task for task, mean in means.items() if mean < LOWEST_COVERAGE}


def _difference(pairs: _Pairs, *, p: float, higher: bool | None, hollow: bool) -> Difference:
    changes = pairs.changes()
    first, second = (float(total) for total in pairs.sums.sum(axis=0) / pairs.counts.sum())
    interval = Interval(second - first, float("nan"), float("nan"))
    if np.isfinite(changes).all():
        interval = ratio_interval(changes, pairs.counts, seed=SEED)
    verdict = "low coverage" if hollow else "not tested" if np.isnan(p) else "unchanged"
    if p < LEVEL:
        better = (interval.mean > 0) == higher
        verdict = "changed" if higher is None else "improved" if better else "fell"
    found = (pairs.task, pairs.metric, pairs.n, len(changes), pairs.left_out)
    return Difference(*found, first, second, interval, p, verdict)


def _mean(pairs: list[_Pairs]) -> Mean | None:
    finite = [one for one in pairs if np.isfinite(one.changes()).all()]
    several = [one for one in finite if len(one.counts) > 1]
    used = several or finite
    if len(used) < 2:
        return None
    if several:
        strata = [ratio_values(one.changes(), one.counts) for one in used]
        interval = stratified_interval(strata, seed=SEED)
    else:
        interval = mean_interval([float(one.changes()[0] / one.counts[0]) for one in used], seed=SEED)
    signed = np.concatenate([one.changes() / one.counts.sum() for one in used])
    return Mean(interval, _p(signed), len(used), len(pairs) - len(used))
