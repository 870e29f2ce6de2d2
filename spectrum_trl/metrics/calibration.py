"""Calibration: do tokens occur as often as their probabilities predict?

Source: Spectrum Tuning (arXiv 2510.06084), calibration of in-context outputs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectrum_trl.metrics.intervals import places

BINS = 10
# Tokens that did not occur count only if they have at least this probability.
LEAST_PROBABILITY = 0.01
FEWEST_PLACES = 5
# Equal probabilities may differ by this much through rounding in a model's arithmetic.
ROUNDING = 1e-6


def calibration_error(correct: ArrayLike, rivals: ArrayLike) -> float:
    """Return the expected calibration error of tokens, in [0, 1]; NaN without tokens.

    Args:
        correct: Shape (n,), log-probabilities in nats of the tokens that occurred.
        rivals: Shape (m,), log-probabilities of all other tokens at these positions, if at least log 0.01.

    Returns:
        The mean absolute difference between probability and frequency over ten bins of about equally many
        tokens; tokens of equal probability share a bin, so their order does not matter. Tokens that occurred
        also count only with a probability of at least 0.01: otherwise, below it, the lowest bin would hold
        all tokens that occurred and none that did not.
    """
    p, came = _pooled(correct, rivals)
    if not p.size:
        return float("nan")
    surplus = np.bincount(_bins(p), weights=p - came)
    return float(np.abs(surplus).sum() / p.size)


class Bin(NamedTuple):
    """Tokens of similar probability.

    Attributes:
        probability: Their mean probability, in [0, 1].
        frequency: The share of them that occurred, in [0, 1].
        n: Their number.
    """

    probability: float
    frequency: float
    n: int


def calibration_curve(correct: ArrayLike, rivals: ArrayLike) -> list[Bin]:
    """Return the bins behind `calibration_error`, by ascending probability; arguments as there.

    The mean absolute difference of their probabilities and frequencies, weighted by n, is that error.
    """
    p, came = _pooled(correct, rivals)
    bins = _bins(p) if p.size else np.zeros(0, dtype=np.int64)
    return [
        Bin(float(p[inside].mean()), float(came[inside].mean()), int(inside.sum()))
        for inside in (bins == number for number in np.unique(bins))
    ]


def _pooled(correct: ArrayLike, rivals: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probabilities of all tokens that count, and whether each occurred."""
    right, wrong = (np.asarray(values, dtype=np.float64) for values in (correct, rivals))
    likely = right >= np.log(LEAST_PROBABILITY)
    p = np.exp(np.concatenate([right[likely], wrong]))
    return p, np.arange(p.size) < likely.sum()


def calibration_error_by_chance(correct: ArrayLike, rivals: Sequence[ArrayLike]) -> float:
    """Return the calibration error expected by chance if the same probabilities were exactly right.

    It is above 0 and falls with the number of tokens, since frequencies differ from probabilities by chance:
    a reference for a model's error. The difference in each bin is approximated as normal.

    Args:
        correct: Shape (n,), log-probabilities in nats of the tokens that occurred.
        rivals: For each of these, the log-probabilities of all other tokens at its position, if at least log
            0.01.

    Returns:
        The expected error, in [0, 1]; NaN for fewer than five positions, where the approximation fails.
    """
    if len(rivals) < FEWEST_PLACES:
        return float("nan")
    logs = [[own, *others] for own, others in zip(np.asarray(correct), map(np.asarray, rivals), strict=True)]
    place = np.repeat(np.arange(len(logs)), [len(tokens) for tokens in logs])
    flat = np.array([log for tokens in logs for log in tokens], dtype=np.float64)
    likely = flat >= np.log(LEAST_PROBABILITY)
    # The model's rivals count, however their probabilities were rounded.
    likely |= np.diff(place, prepend=-1) == 0
    p, place = np.exp(flat[likely]), place[likely]
    if not p.size:
        return float("nan")
    # Of the tokens at one position in one bin, at most one occurs.
    shares = np.bincount(place * BINS + _bins(p), weights=p, minlength=len(logs) * BINS).reshape(-1, BINS)
    variances = (shares * (1 - shares).clip(min=0)).sum(axis=0)
    return float(np.sqrt(2 / np.pi * variances).sum() / p.size)


def _bins(p: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each probability's bin; equal ones share a bin, however they were rounded."""
    below, reached = places(p, rounding=ROUNDING)
    # The mean rank of equal values, from 1/2 to n - 1/2, decides.
    return (BINS * (below + reached) / 2 / p.size).astype(np.int64)


def calibration_error_as_published(correct: ArrayLike, rivals: ArrayLike) -> float:
    """Return the calibration error as computed for the paper's results.

    Bin edges are percentiles of all log-probabilities; a value on an edge belongs to both adjacent bins, and
    all bins have equal weight.

    Args:
        correct: Shape (n,), log-probabilities in nats of the tokens that occurred.
        rivals: Shape (m,), of all other tokens at these positions. Values up to log 0.01 are dropped in both.
    """
    came, others = (
        (logs := np.asarray(values, dtype=np.float64))[logs > np.log(LEAST_PROBABILITY)]
        for values in (correct, rivals)
    )
    pool: NDArray[np.float64] = np.concatenate([came, others])
    edges = np.percentile(pool, np.linspace(0, 100, min(BINS, pool.size) + 1))
    gaps = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = pool[(pool >= low) & (pool <= high)]
        right = ((came >= low) & (came <= high)).sum()
        gaps.append(abs(np.exp(inside).mean() - right / inside.size))
    return float(np.mean(gaps))
