"""How many different valid answers a model gives when it is sampled many times.

Source: Spectrum Tuning (arXiv 2510.06084), diversity and yield.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Diversity(NamedTuple):
    """Counts and shares of generations; every share is in [0, 1] and 0 where there is nothing to divide by.

    Attributes:
        n: Number of generations.
        share_valid: Valid generations among all.
        share_unique: Different valid texts among the valid generations; the paper's diversity.
        yield_count: Number of different valid texts; the paper's yield.
        yield_share: Different valid texts among all generations.
        unique_of_all: Different texts, valid or not, among all generations.
        collision: Equal pairs among all pairs of valid generations; an estimate of the chance that two agree,
            which unlike ``share_unique`` does not fall with the number of generations.
        coverage: Different valid texts among the possible ones; None where these are not given.
    """

    n: int
    share_valid: float
    share_unique: float
    yield_count: int
    yield_share: float
    unique_of_all: float
    collision: float
    coverage: float | None


def summarise(
    generations: Sequence[str], valid: Sequence[bool], *, possible: Collection[str] | None = None
) -> Diversity:
    """Count what is valid and what is different among samples of one prompt.

    Args:
        generations: The samples; texts are compared exactly.
        valid: One flag per sample.
        possible: All valid texts, if there are finitely many; duplicates are counted as given.

    Raises:
        ValueError: If there is not one flag per sample.
    """
    counts = Counter(text for text, ok in zip(generations, valid, strict=True) if ok)
    n, n_valid = len(generations), counts.total()
    equal_pairs = sum(comb(count, 2) for count in counts.values())
    return Diversity(
        n=n,
        share_valid=_share(n_valid, n),
        share_unique=_share(len(counts), n_valid),
        yield_count=len(counts),
        yield_share=_share(len(counts), n),
        unique_of_all=_share(len(set(generations)), n),
        collision=_share(equal_pairs, comb(n_valid, 2)),
        coverage=None if possible is None else _share(len(counts), len(possible)),
    )


def expected_yield(probabilities: ArrayLike, *, n: int) -> float:
    """Return the mean number of different texts among n independent samples of a distribution.

    Args:
        probabilities: Shape (k,), of the valid texts, each in [0, 1]; what is missing to 1 is invalid.
        n: Number of samples.
    """
    return float((1 - (1 - np.asarray(probabilities, dtype=np.float64)) ** n).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
