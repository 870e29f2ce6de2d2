"""Named streams of random numbers, no two purposes of which share one, and random lengths of sequences."""

import hashlib
import json
from functools import cache

import numpy as np
import scipy


def stream(seed: int, *, task: str, purpose: str, id: str | int = "") -> np.random.Generator:
    """Return a random generator for one combination of seed and names, independent of all others.

    Args:
        seed: The user's seed.
        task: The task whose data are drawn.
        purpose: What is drawn, in a few words.
        id: The row or sample, where each has its own stream.
    """
    name = json.dumps([seed, task, purpose, str(id)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))


def task_seed(seed: int, *, task: str) -> int:
    """Return a task's own seed: streams named by purpose and id alone are then no other task's.

    Args:
        seed: The user's seed.
        task: Name of the task.
    """
    return int(stream(seed, task=task, purpose="seed").integers(2**63))


def sequence_length(rng: np.random.Generator, *, mean: float) -> int:
    """Draw L(mean), the number of samples in a sequence: often small and sometimes very large.

    It is Geometric(2 / mean) + Poisson(mean / 2).

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
