"""L(m): the random number of samples in a sequence, often small and sometimes very large."""

from functools import cache

import numpy as np
import scipy


def sequence_length(rng: np.random.Generator, *, mean: float) -> int:
    """Draw a length: Geometric(2 / mean) + Poisson(mean / 2).

    Args:
        rng: Source of randomness.
        mean: Mean of the length, at least 2.

    Returns:
        A length of at least 1.
    """
    return int(rng.geometric(2 / mean) + rng.poisson(mean / 2))


@cache
def length_pmf(mean: float) -> np.ndarray:
    """Return the probabilities of the lengths 0, 1, … that :func:`sequence_length` draws.

    Args:
        mean: Mean of the length, at least 2.

    Returns:
        Shape (20 * mean + 1,), read-only; longer lengths have a total probability below 1e-16.
    """
    longest = int(20 * mean)
    first = scipy.stats.geom.pmf(np.arange(longest + 1), 2 / mean)
    ten_sd = mean / 2 + 10 * np.sqrt(mean / 2) + 30
    second = scipy.stats.poisson.pmf(np.arange(int(ten_sd)), mean / 2)
    pmf = np.convolve(first, second)[: longest + 1]
    pmf.setflags(write=False)
    return pmf
