"""Confidence intervals of means."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval.

    Both ends are NaN where there is one value only, which tells nothing of the spread.
    """

    mean: float
    low: float
    high: float


def mean_interval(values: ArrayLike, *, seed: int, confidence: float = 0.95) -> Interval:
    """Return the mean of independent values with its BCa bootstrap interval.

    Args:
        values: Shape (n,), finite; n at least 1. What is not independent, as the outputs of one sequence, has
            to be averaged before.
        seed: Of the resampling.
        confidence: In (0, 1).

    Returns:
        Mean and ends; equal to the mean where all values are.

    Raises:
        ValueError: If there is no value, or one that is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise ValueError(f"values of shape {data.shape}, expected (n,), n > 0, all of them finite")
    mean = float(data.mean())
    if data.size == 1:
        return Interval(mean, float("nan"), float("nan"))
    scale = float(np.ptp(data))
    if scale <= 1e-12 * np.abs(data).max():
        return Interval(mean, mean, mean)
    # In units of their range: BCa takes cubes, which vanish where the values are tiny.
    ends = bootstrap(
        ((data - mean) / scale,),
        np.mean,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, mean + scale * float(ends.low), mean + scale * float(ends.high))
