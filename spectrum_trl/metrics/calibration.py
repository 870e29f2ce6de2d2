"""Calibration: do tokens occur as often as their probabilities say?

Source: Spectrum Tuning (arXiv 2510.06084), calibration of in-context outputs.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 10
# Of the tokens that did not come, only those with at least this probability count.
LEAST_PROBABILITY = 0.01
# Probabilities that agree in so many decimal places are equal.
PROBABILITY_DIGITS = 6


def calibration_error(correct: ArrayLike, rivals: ArrayLike) -> float:
    """Return the expected calibration error of tokens, in [0, 1]; NaN where there is none.

    Args:
        correct: Shape (n,), log-probabilities in nats of the tokens that came.
        rivals: Shape (m,), of all others at their places, of at least 0.01.

    Returns:
        The mean absolute difference between probability and frequency over ten bins of about as many tokens
        each; tokens of equal probability share a bin, so that their order does not matter.
        Tokens that came count like the others only where their probability is at least 0.01, too: otherwise
        the lowest bin would hold all that came and none that did not.
    """
    right, wrong = (np.asarray(values, dtype=np.float64) for values in (correct, rivals))
    likely = right >= np.log(LEAST_PROBABILITY)
    logs = np.concatenate([right[likely], wrong])
    came = np.arange(logs.size) < likely.sum()
    if not logs.size:
        return float("nan")
    # Rounding in a model's arithmetic is no difference between two probabilities.
    _, place = np.unique(np.exp(logs).round(PROBABILITY_DIGITS), return_inverse=True)
    # The mean rank of equal values, from 1/2 to n - 1/2, decides their bin.
    sizes = np.bincount(place)
    bins = (BINS * (np.cumsum(sizes) - sizes / 2) / logs.size).astype(int)[place]
    surplus = np.bincount(bins, weights=np.exp(logs) - came)
    return float(np.abs(surplus).sum() / logs.size)


def calibration_error_as_published(correct: ArrayLike, rivals: ArrayLike) -> float:
    """Return the calibration error as the paper's figures were computed.

    Bin edges are percentiles of all log-probabilities; a value on an edge belongs to both bins beside it, and
    every bin weighs the same.

    Args:
        correct: Shape (n,), log-probabilities in nats of the tokens that came.
        rivals: Shape (m,), of all others at their places. Of both, those below log 0.01 are dropped.
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
