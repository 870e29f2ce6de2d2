"""Compare two evaluations row by row: which tasks improved, worsened or stayed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.headlines import COMPARED, is_of_shares
from spectrum_trl.evaluation.results import LOWEST_COVERAGE, Results, Value
from spectrum_trl.metrics.intervals import (
    Interval,
    clustered_ends,
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
        n: Number of rows in both.
        clusters: Number of independent groups of these rows.
        left_out: Number of rows in only one of them, or with a different request.
        first: Mean of the first evaluation over the outputs of these rows.
        second: Mean of the second.
        difference: Second minus first, row by row, with its interval.
        p: p-value, Holm-corrected over all tasks; NaN for a single cluster or infinite values.
        verdict: ``improved``, ``worsened``, ``changed`` for a metric without a direction,
            ``not significant``, ``low coverage`` for shares of candidates that have almost no probability
            under a model, or ``not tested`` if p is NaN.
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
    """The mean difference over tasks, with equal weights.

    Attributes:
        difference: With its interval over the rows of these tasks, or over the tasks if all have a single
            cluster.
        p: p-value, not corrected.
        tasks: Number of tasks.
        left_out: Number of tasks with this metric that are not included: they have infinite values, or a
            single cluster while others have several.
    """

    difference: Interval
    p: float
    tasks: int
    left_out: int


class Unpaired(NamedTuple):
    """A task and metric that could not be compared, and why."""

    task: str
    metric: str
    reason: str


class Comparison(NamedTuple):
    """The comparison of two evaluations.

    Attributes:
        tasks: Each task and metric.
        means: Metric, with the name of its group if there is one, to its mean over several tasks.
        unpaired: Tasks and metrics that could not be compared.
        formats: Task to the two formats of its prompts, if they differ.
    """

    tasks: list[Difference]
    means: dict[str, Mean]
    unpaired: list[Unpaired]
    formats: dict[str, tuple[str, str]]


class _Pairs(NamedTuple):
    """The common rows by cluster: the sums of both sides, shape (clusters, 2), and counts.

    ``rare_long`` says whether rare long outputs decide the mean, so that it has no reliable interval.
    """

    task: str
    metric: str
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]
    n: int
    left_out: int
    rare_long: bool

    def changes(self) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums[:, 1] - self.sums[:, 0])


def compare(
    first: Results,
    second: Results,
    *,
    metrics: Sequence[str] = COMPARED,
    group: Callable[[str], str] = lambda task: "",
) -> Comparison:
    """Compare two evaluations on their common rows.

    p-values come from a sign-flip permutation test. It is exact if the models are exchangeable, and otherwise
    assumes differences that are symmetric about 0; since skewed ones are not, a difference counts only if its
    interval excludes 0 too, even where that is too unreliable to be shown. Rows of one cluster,
    such as a question asked of several groups, share their sign.

    Args:
        first: For example of a model before tuning.
        second: For example of the model after it.
        metrics: Metrics to compare; a task without one on either side is skipped for it.
        group: Names the group of a task, if means are of each group's tasks alone.

    Raises:
        UserError: If the evaluations have no row in common.
    """
    pairs: list[_Pairs] = []
    unpaired: list[Unpaired] = []
    for task in sorted(first.rows.keys() | second.rows.keys()):
        for metric in metrics:
            ours, theirs = (side.rows.get(task, {}).get(metric, {}) for side in (first, second))
            if ours.keys() & theirs.keys():
                rare_long = any(side.has_rare_long(task, metric) for side in (first, second))
                pairs.append(_paired(task, metric, ours, theirs, rare_long=rare_long))
            elif ours or theirs:
                reason = (
                    "no row in common" if ours and theirs else f"only in the {'first' if ours else 'second'}"
                )
                unpaired.append(Unpaired(task, metric, reason))
    if not pairs:
        raise UserError(
            f"{first.file} and {second.file} have no row of {', '.join(metrics)} in common: evaluate both on "
            "the same tasks, data and seed"
        )
    low = [is_of_shares(one.metric) and _has_low_coverage(one.task, first, second) for one in pairs]
    chances = _corrected(
        [float("nan") if is_low else _p(one.changes()) for one, is_low in zip(pairs, low, strict=True)]
    )
    higher = first.higher_is_better
    tasks = [
        _difference(one, p=p, higher=higher.get(one.task, {}).get(one.metric), low_coverage=is_low)
        for one, p, is_low in zip(pairs, chances, low, strict=True)
    ]
    meaningful = [one for one, is_low in zip(pairs, low, strict=True) if not is_low]
    groups = sorted({group(one.task) for one in meaningful})
    means = {
        f"{metric} ({name})" if name else metric: _mean(
            [one for one in meaningful if one.metric == metric and group(one.task) == name]
        )
        for metric in metrics
        for name in groups
    }
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


def _paired(
    task: str,
    metric: str,
    ours: Mapping[tuple[int, str], Value],
    theirs: Mapping[tuple[int, str], Value],
    *,
    rare_long: bool,
) -> _Pairs:
    common = sorted(ours.keys() & theirs.keys())
    clusters: dict[Any, NDArray[np.float64]] = {}
    for key in common:
        before, after = ours[key], theirs[key]
        # A row may have fewer outputs on one side if that model has a shorter context.
        weight = (before.outputs + after.outputs) / 2
        name = key if before.cluster is None else before.cluster
        row = np.array([before.mean * weight, after.mean * weight, weight])
        clusters[name] = clusters.get(name, np.zeros(3)) + row
    table = np.array(list(clusters.values()))
    left_out = len(ours.keys() | theirs.keys()) - len(common)
    return _Pairs(task, metric, table[:, :2], table[:, 2], len(common), left_out, rare_long)


def _p(changes: NDArray[np.float64]) -> float:
    if changes.size < 2 or not np.isfinite(changes).all():
        return float("nan")
    if not changes.any():
        return 1.0
    found = scipy.stats.permutation_test(
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


def _has_low_coverage(task: str, *sides: Results) -> bool:
    """Return whether a task's candidates together have almost no probability in one side's common rows."""
    covered = [side.rows.get(task, {}).get("coverage", {}) for side in sides]
    common = set.intersection(*(set(values) for values in covered)) or set().union(*covered)
    for values in covered:
        found = [values[row] for row in sorted(common & values.keys())]
        # Over outputs, like the coverage of the evaluation.
        means, weights = [one.mean for one in found], [one.outputs for one in found]
        # An unknown coverage counts as none.
        if found and not np.average(means, weights=weights) >= LOWEST_COVERAGE:
            return True
    return False


def _difference(pairs: _Pairs, *, p: float, higher: bool | None, low_coverage: bool) -> Difference:
    changes = pairs.changes()
    first, second = (float(total) for total in pairs.sums.sum(axis=0) / pairs.counts.sum())
    interval = Interval(second - first, float("nan"), float("nan"))
    if np.isfinite(changes).all() and not pairs.rare_long:
        interval = ratio_interval(changes, pairs.counts, seed=SEED)
    verdict = "low coverage" if low_coverage else "not tested" if np.isnan(p) else "not significant"
    if p < LEVEL and not _holds_zero(interval, changes, pairs.counts):
        better = (interval.mean > 0) == higher
        verdict = "changed" if higher is None else "improved" if better else "worsened"
    found = (pairs.task, pairs.metric, pairs.n, len(changes), pairs.left_out)
    return Difference(*found, first, second, interval, p, verdict)


def _holds_zero(interval: Interval, changes: NDArray[np.float64], counts: NDArray[np.float64]) -> bool:
    """Return whether a difference of 0 is in its interval, or in one too unreliable to be shown."""
    low, high = interval.low, interval.high
    ratios = changes / counts
    # Differences that are equal but for rounding have no spread to resample.
    if np.isnan(low) and not np.allclose(ratios, ratios[0], rtol=1e-9, atol=0):
        low, high = clustered_ends(changes, counts, seed=SEED)
    return bool(low <= 0 <= high)


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
    if any(one.rare_long for one in used):
        interval = interval._replace(low=float("nan"), high=float("nan"))
    signed = np.concatenate([one.changes() / one.counts.sum() for one in used])
    return Mean(interval, _p(signed), len(used), len(pairs) - len(used))
