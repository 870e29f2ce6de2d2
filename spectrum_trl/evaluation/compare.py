"""Compare two evaluations row by row: what improved, what fell, and what stayed as it was."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.results import Results
from spectrum_trl.metrics.intervals import Interval, mean_interval, stratified_interval

HEADLINES = ("loss", "js_divergence", "yield_count", "share_valid")
LEVEL = 0.05
RESAMPLES = 9999
SEED = 0


class Difference(NamedTuple):
    """One task and metric of two evaluations.

    Attributes:
        task: Its name.
        metric: Its name.
        n: Rows that both have.
        left_out: Rows that only one of them has, or that ask for something else.
        first: Mean of the first evaluation.
        second: Mean of the second.
        difference: Second minus first, row by row, with its interval.
        p: Of no difference, corrected over all tasks (Holm); NaN for a single row.
        verdict: ``improved``, ``fell`` or ``unchanged``.
    """

    task: str
    metric: str
    n: int
    left_out: int
    first: float
    second: float
    difference: Interval
    p: float
    verdict: str


class Comparison(NamedTuple):
    """Two evaluations.

    Attributes:
        tasks: Each task and metric.
        means: Metric to the mean over tasks of their differences, each task weighing the same.
    """

    tasks: list[Difference]
    means: dict[str, Interval]


def compare(first: Results, second: Results, *, metrics: Sequence[str] = HEADLINES) -> Comparison:
    """Compare two evaluations by the rows that both have.

    The chance of no difference is that of random signs of the rows' differences, whatever their distribution.

    Args:
        first: For example of a model before tuning.
        second: For example after.
        metrics: To compare; a task that lacks one is passed over for it.

    Raises:
        UserError: If no row of any task is in both.
    """
    pairs = []
    for task in sorted(first.rows.keys() & second.rows.keys()):
        for metric in metrics:
            ours, theirs = first.rows[task].get(metric, {}), second.rows[task].get(metric, {})
            if common := sorted(ours.keys() & theirs.keys()):
                values = np.array([[ours[key], theirs[key]] for key in common])
                pairs.append((task, metric, values, len(ours.keys() | theirs.keys()) - len(common)))
    if not pairs:
        raise UserError(
            f"{first.file} and {second.file} have no row of {', '.join(metrics)} in common: evaluate both on "
            "the same tasks, data and seed"
        )
    raw = np.array([_p(values[:, 1] - values[:, 0]) for _, _, values, _ in pairs])
    known = ~np.isnan(raw)
    corrected = raw.copy()
    if known.any():
        corrected[known] = multipletests(raw[known], alpha=LEVEL, method="holm")[1]
    tasks = [
        _difference(task, metric, values, left_out=lost, p=float(p), higher=_higher(first, task, metric))
        for (task, metric, values, lost), p in zip(pairs, corrected, strict=True)
    ]
    means = {}
    for metric in metrics:
        strata = [v[:, 1] - v[:, 0] for _, name, v, _ in pairs if name == metric and len(v) > 1]
        if len(strata) > 1:
            means[metric] = stratified_interval(strata, seed=SEED)
    return Comparison(tasks, means)


def _p(differences: NDArray[np.float64]) -> float:
    if differences.size < 2 or not np.isfinite(differences).all():
        return float("nan")
    if not differences.any():
        return 1.0
    found = permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def _higher(results: Results, task: str, metric: str) -> bool | None:
    return results.higher_is_better.get(task, {}).get(metric)


def _difference(
    task: str, metric: str, values: NDArray[np.float64], *, left_out: int, p: float, higher: bool | None
) -> Difference:
    change = values[:, 1] - values[:, 0]
    finite = change[np.isfinite(change)]
    interval = (
        mean_interval(finite, seed=SEED) if finite.size == change.size else Interval(*[float("nan")] * 3)
    )
    verdict = "unchanged"
    if p < LEVEL and higher is not None:
        verdict = "improved" if (interval.mean > 0) == higher else "fell"
    first, second = (float(values[:, side].mean()) for side in (0, 1))
    return Difference(task, metric, len(values), left_out, first, second, interval, p, verdict)
