"""Confidence intervals of means, and where there is none: docs/intervals.md has their simulated coverage."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
# Resamples held in memory at once.
BATCH = 500
# Independent values, or clusters of equal size, from which on 95% intervals hold a skewed mean in 92% or more
# of simulated cases; and how many of equal size clusters of unequal sizes have to be worth.
FEWEST, FEWEST_UNEQUAL = 20, 30
# Of values that are nearly all equal, as accuracies near 1 or differences of models, so many have to differ.
FEWEST_OTHERS = 10


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval.

    Both ends are NaN where too few values, or none that differ, leave their spread unknown.
    """

    mean: float
    low: float
    high: float


def mean_interval(
    values: ArrayLike,
    *,
    seed: int,
    confidence: float = 0.95,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Return the mean of independent values with its interval; their order does not matter.

    Args:
        values: Shape (n,), finite; n at least 1. What is not independent, as the outputs of one sequence, has
            to be averaged before, or go into `ratio_interval`.
        seed: Of the resampling.
        confidence: In (0, 1).
        within: Smallest and largest value that a mean can have; the ends are kept inside.

    Returns:
        See `ratio_interval`, with every value a cluster of its own.

    Raises:
        ValueError: If there is no value, or one that is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    return ratio_interval(data, np.ones_like(data), seed=seed, confidence=confidence, within=within)


def ratio_interval(
    sums: ArrayLike,
    counts: ArrayLike,
    *,
    seed: int,
    confidence: float = 0.95,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Return the mean over the members of clusters with its interval; the clusters' order does not matter.

    On either side the interval is the wider of two: the studentized bootstrap's, which resamples whole
    clusters and takes the jackknife's standard errors, and Student's. Clusters of unequal sizes are worth
    fewer of equal size, which give Student's degrees of freedom. Shares, ratios of 0 and 1 within (0, 1),
    have the exact interval of Clopper and Pearson, however few they are; other means within (0, 1) are no
    narrower than that of as many independent trials as have their error (Korn and Graubard, Survey
    Methodology 1998), since near 0 and 1 the others hold too little.

    Args:
        sums: Shape (clusters,), each cluster's sum, for example of the losses of a sequence's outputs.
        counts: Shape (clusters,), each cluster's number of members, positive.
        seed: Of the resampling.
        confidence: In (0, 1).
        within: Smallest and largest value that the mean can have.

    Returns:
        The sum of all sums by the sum of all counts, and the ends of its interval: NaN where there are
        fewer than 20 clusters of equal size, or those of unequal sizes are worth fewer than 30; and where all
        ratios but nine or fewer are equal.

    Raises:
        ValueError: If there is no cluster, or a value that is not finite.
    """
    totals, sizes = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if totals.ndim != 1 or not totals.size or not np.isfinite(totals).all():
        raise ValueError(f"values of shape {totals.shape}, expected (n,), n > 0, all of them finite")
    mean, ratios, worth = float(totals.sum() / sizes.sum()), totals / sizes, worth_of(sizes)
    # Differences of shares may also be 0 and 1, but could be -1.
    if within == (0, 1) and np.isin(ratios, (0, 1)).all():
        return Interval(mean, *share_ends(mean * worth, worth, confidence=confidence, method="beta"))
    fewest = FEWEST if np.ptp(sizes) == 0 else FEWEST_UNEQUAL
    equal = np.unique(ratios.round(12), return_counts=True)[1].max()
    if worth < fewest - 1e-9 or ratios.size - equal < FEWEST_OTHERS:
        return Interval(mean, float("nan"), float("nan"))
    low, high = clustered_ends(totals, sizes, seed=seed, confidence=confidence)
    if within == (0, 1):
        bounds = _clustered_share(totals, sizes, confidence=confidence)
        low, high = min(low, bounds[0]), max(high, bounds[1])
    ends = np.clip([low, high], *within)
    return Interval(mean, float(ends[0]), float(ends[1]))


def worth_of(counts: ArrayLike) -> float:
    """Return how many clusters of equal size clusters of these sizes are worth: (sum n)^2 / sum n^2.

    Args:
        counts: Shape (clusters,), positive.
    """
    sizes = np.asarray(counts, dtype=np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def clustered_ends(
    sums: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int, confidence: float
) -> tuple[float, float]:
    """Return the ends of the interval of a ratio, however few clusters there are (at least 2).

    Args:
        sums: Shape (clusters,).
        counts: Shape (clusters,), positive.
        seed: Of the resampling.
        confidence: In (0, 1).
    """
    # Resamples are drawn by position: in sorted order the clusters' own does not matter.
    order = np.lexsort((counts, sums))
    totals, sizes = sums[order], counts[order]
    mean, error = _ratio(totals, sizes, axis=-1)

    def studentized(
        resampled: NDArray[np.float64], members: NDArray[np.float64], axis: int
    ) -> NDArray[np.float64]:
        means, errors = _ratio(resampled, members, axis=axis)
        # A resample of equal values has no spread; that of all values stands in.
        return (means - mean) / np.where(errors > 1e-12 * np.abs(mean), errors, error)

    found = scipy.stats.bootstrap(
        (totals, sizes),
        studentized,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    student = float(scipy.stats.t.ppf((1 + confidence) / 2, max(worth_of(sizes) - 1, 1)))
    low, high = min(float(found.low), -student), max(float(found.high), student)
    return float(mean - high * error), float(mean - low * error)


def _clustered_share(
    sums: NDArray[np.float64], counts: NDArray[np.float64], *, confidence: float
) -> tuple[float, float]:
    (share, error), clusters = _ratio(sums, counts, axis=-1), worth_of(counts)
    of_trials, of_clusters = (
        float(scipy.stats.t.ppf((1 + confidence) / 2, max(n - 1, 1))) for n in (counts.sum(), clusters)
    )
    trials = float(share * (1 - share) / error**2 * (of_trials / of_clusters) ** 2)
    return share_ends(float(share) * trials, trials, confidence=confidence, method="beta")


def share_ends(hits: float, n: float, *, confidence: float, method: str) -> tuple[float, float]:
    """Return the ends of the interval of a share.

    Args:
        hits: How many of the n; neither need be whole.
        n: Positive.
        confidence: In (0, 1).
        method: ``beta`` for that of Clopper and Pearson, ``wilson`` for Wilson's.
    """
    # statsmodels takes long to import.
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, n, alpha=1 - confidence, method=method)
    return float(low), float(high)


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64], *, axis: int) -> tuple[Any, Any]:
    """Return ratios of sums and their jackknife standard errors, along an axis of clusters."""
    n = sums.shape[axis]
    whole, members = sums.sum(axis=axis, keepdims=True), counts.sum(axis=axis, keepdims=True)
    ratio = whole / members
    without = (whole - sums) / (members - counts)
    errors = np.sqrt((n - 1) / n * ((without - ratio) ** 2).sum(axis=axis))
    return ratio.squeeze(axis), errors


def ratio_values(sums: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return one value per cluster, whose mean is the mean over members, and has its error to first order.

    Args:
        sums: Shape (clusters,), each cluster's sum.
        counts: Shape (clusters,), each cluster's number of members, positive.
    """
    totals, sizes = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if (sizes == sizes[0]).all():
        return totals / sizes
    mean = totals.sum() / sizes.sum()
    return np.asarray(mean + (totals - mean * sizes) / sizes.mean())


def stratified_interval(strata: Sequence[ArrayLike], *, seed: int, confidence: float = 0.95) -> Interval:
    """Return the mean over strata of their means with its interval, each stratum resampled for itself.

    Like `ratio_interval`, with Satterthwaite's degrees of freedom, at least 29; the order of strata and of
    their values does not matter.

    Args:
        strata: For each, for example each task, its independent values, shape (n,), finite; n at least 2.
        seed: Of the resampling.
        confidence: In (0, 1).
    """
    arrays = sorted((np.sort(np.asarray(values, dtype=np.float64)) for values in strata), key=tuple)
    mean = float(np.mean([values.mean() for values in arrays]))
    shares = np.array([values.var(ddof=1) / values.size for values in arrays])
    error = float(np.sqrt(shares.sum())) / len(arrays)
    freedom = shares.sum() ** 2 / (shares**2 / [values.size - 1 for values in arrays]).sum() if error else 0
    if freedom < FEWEST_UNEQUAL - 1 - 1e-9:
        return Interval(mean, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    centred: list[NDArray[np.float64]] = []
    variances: list[NDArray[np.float64]] = []
    for values in arrays:
        resampled = values[rng.integers(values.size, size=(RESAMPLES, values.size))]
        centred.append(resampled.mean(axis=1) - values.mean())
        variances.append(resampled.var(axis=1, ddof=1) / values.size)
    spread = np.sqrt(np.sum(variances, axis=0)) / len(arrays)
    studentized = np.mean(centred, axis=0) / np.where(spread > 0, spread, error)
    student = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom))
    low, high = np.quantile(studentized, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, mean - max(float(high), student) * error, mean - min(float(low), -student) * error)
