"""Loss and accuracy of each output in a sequence of samples: does a model adapt to the samples it has seen?

Source: Spectrum Tuning (arXiv 2510.06084), in-context steerability.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Sequences that must reach two examples where one is the best choice.
FEWEST = 10
# Of two log-probabilities in nats: so much may rounding in a model's single precision make of equal ones.
ROUNDING = 1e-5


class OutputScores(NamedTuple):
    """Scores of the n outputs of one sequence, in order; all arrays have shape (n,).

    Attributes:
        number: Number of the output, from 0.
        n_tokens: Its tokens, the end-of-turn token among them.
        loss: Summed negative log probability of its tokens, in nats.
        first_correct: Whether the likeliest first token is right.
        accuracy: Share of its tokens that are the likeliest, in [0, 1].
        all_correct: Whether all of them are.
    """

    number: NDArray[np.int64]
    n_tokens: NDArray[np.int64]
    loss: NDArray[np.float64]
    first_correct: NDArray[np.bool_]
    accuracy: NDArray[np.float64]
    all_correct: NDArray[np.bool_]


class AutomaticK(NamedTuple):
    """How many examples the sequences of a task are evaluated with.

    Attributes:
        k: Number of the last output evaluated, counted from 0.
        kept: Indices of the sequences that reach it, shape (kept,).
    """

    k: int
    kept: NDArray[np.int64]


class Means(NamedTuple):
    """Means over all outputs with the same number; all arrays have shape (k,).

    Attributes:
        number: The k numbers that occur, ascending.
        mean: Mean of the values.
        n: Number of values.
    """

    number: NDArray[np.int64]
    mean: NDArray[np.float64]
    n: NDArray[np.int64]


def number_outputs(scored: ArrayLike) -> NDArray[np.int64]:
    """Number the outputs of a sequence: each unbroken run of scored tokens is one.

    Args:
        scored: Shape (tokens,), whether a token belongs to an output.

    Returns:
        Shape (tokens,), the output's number from 0, or -1.
    """
    mask = np.asarray(scored, dtype=bool)
    starts = mask & ~np.concatenate([[False], mask[:-1]])
    return np.where(mask, np.cumsum(starts) - 1, -1)


def automatic_k(numbers: ArrayLike) -> AutomaticK | None:
    """Choose the number of examples that leaves the most outputs to evaluate, as the paper does.

    Args:
        numbers: Shape (sequences,), number of the last whole output of each, counted from 0; -1 for none.

    Returns:
        The k from 1 that maximises k times the number of sequences that reach it, the smallest of equals; in
        place of 1, 2 where at least ten sequences reach that. None where not even that holds.
    """
    last = np.asarray(numbers, dtype=np.int64)
    candidates = np.arange(1, max(last.max(initial=0), 1) + 1)
    reached = (last[:, None] >= candidates).sum(axis=0)
    k = int(candidates[np.argmax(candidates * reached)])
    if k == 1:
        if (last >= 2).sum() < FEWEST:
            return None
        k = 2
    return AutomaticK(k, np.flatnonzero(last >= k))


def per_output(log_probabilities: ArrayLike, correct: ArrayLike, numbers: ArrayLike) -> OutputScores:
    """Sum up the tokens of each output.

    Args:
        log_probabilities: Shape (tokens,), of the scored tokens, in nats.
        correct: Shape (tokens,), whether a scored token is the likeliest one.
        numbers: Shape (tokens,), the output that each belongs to.

    Returns:
        One entry for each number that occurs, ascending.
    """
    number, first, inverse, n_tokens = np.unique(
        np.asarray(numbers, dtype=np.int64), return_index=True, return_inverse=True, return_counts=True
    )
    hits = np.asarray(correct, dtype=bool)
    n_correct = _sums(inverse, hits)
    return OutputScores(
        number=number,
        n_tokens=n_tokens,
        loss=-_sums(inverse, log_probabilities),
        first_correct=hits[first],
        accuracy=n_correct / n_tokens,
        all_correct=n_correct == n_tokens,
    )


def share_right(log_probabilities: ArrayLike, *, right: int) -> float:
    """Return how often a guess among the likeliest labels is right, in [0, 1].

    Args:
        log_probabilities: Shape (labels,), in nats; those that differ by rounding alone are equal.
        right: Index of the right label.

    Returns:
        1 by the number of likeliest labels where the right one is among them, else 0: a model that cannot
        tell n labels apart has 1 / n, wherever the right one stands.
    """
    logs = np.asarray(log_probabilities, dtype=np.float64)
    likeliest = logs >= logs.max() - ROUNDING
    return float(likeliest[right] / likeliest.sum())


def mean_by_number(numbers: ArrayLike, values: ArrayLike) -> Means:
    """Average over sequences, which may differ in length, for each output number.

    Args:
        numbers: Shape (outputs,), of all sequences one after the other.
        values: Shape (outputs,), for example their losses in nats.
    """
    number, inverse, n = np.unique(
        np.asarray(numbers, dtype=np.int64), return_inverse=True, return_counts=True
    )
    return Means(number, _sums(inverse, values) / n, n)


def excess(losses: ArrayLike, optimal: ArrayLike, *, positions: slice = slice(None)) -> NDArray[np.float64]:
    """Return each sequence's mean loss above that of the Bayes-optimal predictor.

    Args:
        losses: Shape (sequences, outputs), in nats.
        optimal: Shape (sequences, outputs), negative log probability in nats under the exact predictive.
        positions: Which outputs to average.

    Returns:
        Shape (sequences,), in nats. A single one may be negative, by luck; the expectation is not.
    """
    difference = np.asarray(losses, dtype=np.float64) - np.asarray(optimal, dtype=np.float64)
    return difference[:, positions].mean(axis=1)


def _sums(groups: NDArray[np.int64], values: ArrayLike) -> NDArray[np.float64]:
    return np.bincount(groups, weights=np.asarray(values, dtype=np.float64)).astype(np.float64)
