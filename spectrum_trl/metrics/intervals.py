"""Confidence intervals of means."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap, t
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 2000
# Resamples held in memory at once.
BATCH = 500
# Of fewer values than these the interval is Student's.
FEWEST = 10


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval.

    Both ends are NaN where there is one value only, which tells nothing of the spread.
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
    """Return the mean of independent values with its studentized bootstrap interval.

    Simulated with 100 values, intervals of 95% held the true mean in 93% to 97% of cases for normal,
    exponential, gamma (shape 0.5), mixed and lognormal values of sigma 1, and in 92% for lognormal ones of
    sigma 1.5: the longer the tail, the fewer. Of fewer than ten values, a resample says too little of the
    spread, and the interval is Student's.

    Shares, values of 0 and 1 within (0, 1), have Wilson's interval: of 100 with rates of 0.01, 0.02, 0.03,
    0.05, 0.1 and 0.5, it holds the rate in 91.8%, 95.3%, 96.7%, 96.7%, 93.8% and 94.4% of cases.

    Args:
        values: Shape (n,), finite; n at least 1. What is not independent, as the outputs of one sequence, has
            to be averaged before.
        seed: Of the resampling.
        confidence: In (0, 1).
        within: Smallest and largest value that a mean can have; the ends are kept inside.

    Returns:
        Mean and ends; equal to the mean where all values are, unless they are shares.

    Raises:
        ValueError: If there is no value, or one that is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise ValueError(f"values of shape {data.shape}, expected (n,), n > 0, all of them finite")
    mean = float(data.mean())
    if data.size == 1:
        return Interval(mean, float("nan"), float("nan"))
    # Differences of shares may also be 0 and 1, but could be -1.
    if within == (0, 1) and np.isin(data, (0, 1)).all():
        low, high = proportion_confint(data.sum(), data.size, alpha=1 - confidence, method="wilson")
        return Interval(mean, float(low), float(high))
    if np.ptp(data) <= 1e-12 * np.abs(data).max():
        return Interval(mean, mean, mean)
    error = float(data.std(ddof=1)) / float(np.sqrt(data.size))
    if data.size < FEWEST:
        low, high = t.interval(confidence, data.size - 1)
    else:
        low, high = _studentized((data - mean) / error, seed=seed, confidence=confidence)
    ends = np.clip([mean - high * error, mean - low * error], *within)
    return Interval(mean, float(ends[0]), float(ends[1]))


def _studentized(values: NDArray[np.float64], *, seed: int, confidence: float) -> tuple[float, float]:
    """Return quantiles of the mean of resamples in units of their own standard errors."""

    def statistic(sample: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        errors = sample.std(axis=axis, ddof=1) / np.sqrt(sample.shape[axis])
        # A resample of equal values has no spread; that of all values stands in.
        return sample.mean(axis=axis) / np.where(errors > 0, errors, 1.0)

    ends = bootstrap(
        (values,),
        statistic,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(ends.low), float(ends.high)


def ratio_interval(
    sums: ArrayLike,
    counts: ArrayLike,
    *,
    seed: int,
    confidence: float = 0.95,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Return the mean over the members of clusters with its interval, clusters resampled whole.

    Shares that are 0 or 1 in every cluster have Wilson's interval with clusters for values. Simulated with
    60 clusters of 2 to 31 values of 0 and 1, correlated 0.1 or 0.5 within a cluster, intervals of 95% held
    rates of 0.01 to 0.99 in 92.7% to 99.7% of cases.

    Args:
        sums: Shape (clusters,), each cluster's sum, for example of the losses of a sequence's outputs.
        counts: Shape (clusters,), each cluster's number of members, positive.
        seed: Of the resampling.
        confidence: In (0, 1).
        within: Smallest and largest value that the mean can have.

    Returns:
        The sum of all sums by the sum of all counts, and the ends of its interval.

    Raises:
        ValueError: If there is no cluster, or a value that is not finite.
    """
    return mean_interval(ratio_values(sums, counts), seed=seed, confidence=confidence, within=within)


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

    Args:
        strata: For each, for example each task, its independent values, shape (n,), finite; n at least 2.
        seed: Of the resampling.
        confidence: In (0, 1).
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in strata]
    means = np.array([values.mean() for values in arrays])
    errors = np.array([values.std(ddof=1) / np.sqrt(values.size) for values in arrays])
    mean, error = float(means.mean()), float(np.sqrt((errors**2).sum())) / len(arrays)
    if error == 0:
        return Interval(mean, mean, mean)
    rng = np.random.default_rng(seed)
    centred: list[NDArray[np.float64]] = []
    variances: list[NDArray[np.float64]] = []
    for values in arrays:
        resampled = values[rng.integers(values.size, size=(RESAMPLES, values.size))]
        centred.append(resampled.mean(axis=1) - values.mean())
        variances.append(resampled.var(axis=1, ddof=1) / values.size)
    spread = np.sqrt(np.sum(variances, axis=0)) / len(arrays)
    studentized = np.mean(centred, axis=0) / np.where(spread > 0, spread, error)
    low, high = np.quantile(studentized, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, mean - float(high) * error, mean - float(low) * error)
