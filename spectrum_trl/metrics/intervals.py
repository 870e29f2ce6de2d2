"""Confidence intervals of means, or NaN where none is reliable; docs/intervals.md has simulated coverage."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

CONFIDENCE = 0.95
RESAMPLES = 2000
# Resamples held in memory at once.
BATCH = 500
# From this many independent values, or clusters of equal size, 95% intervals cover a skewed mean in at least
# 92% of simulated cases.
FEWEST = 20
# The effective number needed of clusters of unequal sizes, and the share of their number: otherwise a few
# large clusters decide the mean, and if sizes correlate with values, they are rarely sampled.
FEWEST_UNEQUAL, LEAST_SHARE = 50, 0.75
# The share if sizes visibly correlate with values, and the significance level of Spearman's test for that.
LEAST_SHARE_RELATED, LEVEL = 0.9, 0.05
# The same of bounded values, which have no long tail, and of those whose sizes correlate, with its share.
FEWEST_BOUNDED, FEWEST_BOUNDED_RELATED, LEAST_SHARE_BOUNDED = 30, 40, 2 / 3
# If most values are equal, such as accuracies near 1 or differences of models, this many must differ.
FEWEST_OTHERS = 10
# Sizes further from the commonest one than this share of their standard deviation, if that exceeds the mean.
FAR = 0.1
# Equal values may differ by this much through rounding, relative to the largest.
ROUNDING = 1e-12


class Interval(NamedTuple):
    """A mean and the ends of its 95% confidence interval.

    Both ends are NaN if there are too few values, or too few that differ, to estimate their spread.
    """

    mean: float
    low: float
    high: float


def by_cluster(rows: Iterable[Sequence[Any]]) -> tuple[list[float], list[float]]:
    """Return sums and counts over the rows of each cluster with a count, in the clusters' order.

    Args:
        rows: Each a sum, a count and, if rows are not independent, the name of the row's cluster.
    """
    clusters: dict[Any, tuple[float, float]] = {}
    for number, (value, count, *cluster) in enumerate(rows):
        name = cluster[0] if cluster else number
        before = clusters.get(name, (0.0, 0.0))
        clusters[name] = before[0] + value, before[1] + count
    filled = [each for each in clusters.values() if each[1]]
    return [value for value, _ in filled], [count for _, count in filled]


def mean_interval(
    values: ArrayLike, *, seed: int, within: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Return the mean of independent values with its interval; their order does not matter.

    Args:
        values: Shape (n,), finite; n at least 1. Values that are not independent, such as outputs of one
            sequence, must be averaged first, or passed to `ratio_interval`.
        seed: Seed of the resampling.
        within: Smallest and largest value that a mean can have; the ends are clipped to it.

    Returns:
        See `ratio_interval`; every value is a separate cluster.

    Raises:
        ValueError: If there is no value, or one is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    return ratio_interval(data, np.ones_like(data), seed=seed, within=within)


def ratio_interval(
    sums: ArrayLike, counts: ArrayLike, *, seed: int, within: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Return the mean over the members of clusters with its interval; the clusters' order does not matter.

    On each side the interval is the wider of two: the studentized bootstrap's, which resamples whole clusters
    and uses jackknife standard errors, and Student's, whose degrees of freedom are the effective number of
    clusters minus 1. Shares (``within`` is (0, 1), and all clusters have equal size and a ratio of 0 or 1)
    have the exact Clopper-Pearson interval, whatever their number; intervals of other means within (0, 1) are
    at least as wide as the exact one of as many independent trials as have the same standard error (Korn and
    Graubard, Survey Methodology 1998), since the other two cover too little near 0 and 1.

    Args:
        sums: Shape (clusters,), each cluster's sum, for example of the losses of a sequence's outputs.
        counts: Shape (clusters,), each cluster's number of members, positive.
        seed: Seed of the resampling.
        within: Smallest and largest value that the mean can have.

    Returns:
        The sum of all sums divided by the sum of all counts, and the ends of its interval. These are NaN if
        there are fewer than 20 clusters of equal size, or effectively fewer than 50 of unequal sizes, or
        than three quarters of their number (nine tenths if sizes correlate with ratios); for bounded values
        30 (40, and two thirds of their number, if sizes correlate); or if fewer than ten ratios differ from
        the most common one.

    Raises:
        ValueError: If there is no cluster, or a value is not finite.
    """
    totals, sizes = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if totals.ndim != 1 or not totals.size or not np.isfinite(totals).all():
        raise ValueError(f"values have shape {totals.shape}, expected (n,), n > 0, all finite")
    mean, ratios, effective = float(totals.sum() / sizes.sum()), totals / sizes, effective_number(sizes)
    alike = np.ptp(sizes) == 0
    # Differences of shares may all be 0 or 1 too, but -1 is also possible.
    if alike and within == (0, 1) and np.isin(ratios, (0, 1)).all():
        return Interval(mean, *clopper_pearson(ratios.sum(), ratios.size, confidence=CONFIDENCE))
    fewest = FEWEST if alike else _fewest(sizes, ratios, bounded=bool(np.isfinite(within).all()))
    if effective < fewest - 1e-9 or ratios.size - _most_equal(ratios) < FEWEST_OTHERS:
        return Interval(mean, float("nan"), float("nan"))
    low, high = clustered_ends(totals, sizes, seed=seed)
    if within == (0, 1):
        bounds = _clustered_share(totals, sizes)
        low, high = min(low, bounds[0]), max(high, bounds[1])
    ends = np.clip([low, high], *within)
    return Interval(mean, float(ends[0]), float(ends[1]))


def _fewest(sizes: NDArray[np.float64], ratios: NDArray[np.float64], *, bounded: bool) -> float:
    """Return the effective number needed of clusters of unequal sizes."""
    related = np.ptp(ratios) > 0 and scipy.stats.spearmanr(sizes, ratios).pvalue < LEVEL
    if bounded:
        share = max(FEWEST_BOUNDED_RELATED, LEAST_SHARE_BOUNDED * ratios.size)
        return share if related else FEWEST_BOUNDED
    return max(FEWEST_UNEQUAL, (LEAST_SHARE_RELATED if related else LEAST_SHARE) * ratios.size)


def has_rare_far(sizes: ArrayLike, *, n: int) -> bool:
    """Return whether a mean over n draws is decided by large values so rare that fewer than ten are expected.

    If most outputs are short ratings and one in thirty is a long text, the texts decide the mean loss, but
    two in five samples of 29 have none, and nothing in their losses shows it. The sizes of all do.

    Args:
        sizes: Shape (all,), positive, of the whole population, such as lengths: values grow with them.
        n: Number of values that were drawn from it.
    """
    data = np.asarray(sizes, dtype=np.float64)
    if data.size < 2 or data.std() <= data.mean():
        return False
    below, reached = places(data, rounding=FAR * data.std())
    return bool(n * (1 - (reached - below).max() / data.size) < FEWEST_OTHERS)


def _most_equal(values: NDArray[np.float64]) -> int:
    """Return the size of the largest group of equal values, however they were rounded."""
    below, reached = places(values, rounding=ROUNDING * np.abs(values).max())
    return int((reached - below).max())


def effective_number(counts: ArrayLike) -> float:
    """Return the effective number of clusters, as if all had equal size: (sum n)^2 / sum n^2.

    Args:
        counts: Shape (clusters,), positive.
    """
    sizes = np.asarray(counts, dtype=np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def clustered_ends(
    sums: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int
) -> tuple[float, float]:
    """Return the ends of the interval of a ratio, whatever the number of clusters (at least 2).

    Args:
        sums: Shape (clusters,).
        counts: Shape (clusters,), positive.
        seed: Seed of the resampling.
    """
    # Resamples are drawn by position: sorting makes them independent of the clusters' order.
    order = np.lexsort((counts, sums))
    totals, sizes = sums[order], counts[order]
    mean, error = _ratio(totals, sizes, axis=-1)

    def studentized(
        resampled: NDArray[np.float64], members: NDArray[np.float64], axis: int
    ) -> NDArray[np.float64]:
        means, errors = _ratio(resampled, members, axis=axis)
        # A resample of equal values has no spread; use that of all values.
        return (means - mean) / np.where(errors > 1e-12 * np.abs(mean), errors, error)

    found = scipy.stats.bootstrap(
        (totals, sizes),
        studentized,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    student = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, max(effective_number(sizes) - 1, 1)))
    low, high = min(float(found.low), -student), max(float(found.high), student)
    return float(mean - high * error), float(mean - low * error)


def _clustered_share(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    (share, error), clusters = _ratio(sums, counts, axis=-1), effective_number(counts)
    of_trials, of_clusters = (
        float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, max(n - 1, 1))) for n in (counts.sum(), clusters)
    )
    trials = float(share * (1 - share) / error**2 * (of_trials / of_clusters) ** 2)
    return clopper_pearson(float(share) * trials, trials, confidence=CONFIDENCE)


def clopper_pearson(hits: float, n: float, *, confidence: float) -> tuple[float, float]:
    """Return the ends of Clopper and Pearson's interval of a share.

    Args:
        hits: Number of successes among n trials; unlike scipy's `binomtest`, neither must be an integer.
        n: Positive.
        confidence: In (0, 1).
    """
    tail, failures = (1 - confidence) / 2, n - hits
    # Quantiles of beta distributions, which do not exist for no success, or for no failure.
    low = betaincinv(hits, failures + 1, tail) if hits > 0 else 0
    return float(low), float(betaincinv(hits + 1, failures, 1 - tail) if failures > 0 else 1)


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64], *, axis: int) -> tuple[Any, Any]:
    """Return ratios of sums and their jackknife standard errors along the axis of clusters."""
    n = sums.shape[axis]
    whole, members = sums.sum(axis=axis, keepdims=True), counts.sum(axis=axis, keepdims=True)
    ratio = whole / members
    without = (whole - sums) / (members - counts)
    errors = np.sqrt((n - 1) / n * ((without - ratio) ** 2).sum(axis=axis))
    return ratio.squeeze(axis), errors


def ratio_values(sums: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return one value per cluster; their mean is the mean over members, with the same error to first order.

    Args:
        sums: Shape (clusters,), each cluster's sum.
        counts: Shape (clusters,), each cluster's number of members, positive.
    """
    totals, sizes = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if (sizes == sizes[0]).all():
        return totals / sizes
    mean = totals.sum() / sizes.sum()
    return np.asarray(mean + (totals - mean * sizes) / sizes.mean())


def stratified_interval(strata: Sequence[ArrayLike], *, seed: int) -> Interval:
    """Return the mean of the strata's means with its interval; each stratum is resampled separately.

    Like `ratio_interval`, with Satterthwaite's degrees of freedom; the ends are NaN if these are below 49.
    The order of strata and of their values does not matter.

    Args:
        strata: For each stratum, such as a task, its independent values, shape (n,), finite; n at least 2.
        seed: Seed of the resampling.
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
    student = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
    low, high = np.quantile(studentized, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(mean, mean - max(float(high), student) * error, mean - min(float(low), -student) * error)


def places(values: NDArray[np.float64], *, rounding: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the values equal to each one begin and end in sorted order; their order does not matter.

    Args:
        values: Shape (n,).
        rounding: Largest difference of equal values.

    Returns:
        For each value, shape (n,), the number of smaller values, and of those not larger.
    """
    ordered = np.sort(values)
    return (
        np.searchsorted(ordered, values - rounding, side="left"),
        np.searchsorted(ordered, values + rounding, side="right"),
    )
