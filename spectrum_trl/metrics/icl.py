"""Loss and accuracy of each output in a sequence of samples: does a model adapt to earlier samples?

Source: Spectrum Tuning (arXiv 2510.06084), in-context steerability.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# If one example is the best choice, this many sequences must reach two.
FEWEST = 10
# Equal log-probabilities in nats may differ by this much through rounding in single precision.
ROUNDING = 1e-5


class AutomaticK(NamedTuple):
    """The number of examples that a task is evaluated with.

    Attributes:
        k: Index of the last output evaluated, counted from 0.
        kept: Indices of the sequences that reach it, shape (kept,).
    """

    k: int
    kept: NDArray[np.int64]


def automatic_k(numbers: ArrayLike) -> AutomaticK | None:
    """Choose the number of examples that leaves the most outputs to evaluate, as in the paper.

    Args:
        numbers: Shape (sequences,), index of each sequence's last complete output, from 0; -1 for none.

    Returns:
        The k from 1 that maximises k times the number of sequences that reach it, the smallest if several do.
        If that is 1, k is 2 provided that at least ten sequences reach two; otherwise None.
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


def share_right(log_probabilities: ArrayLike, *, right: int) -> float:
    """Return the expected accuracy of a random guess among the likeliest labels, in [0, 1].

    Args:
        log_probabilities: Shape (labels,), in nats; those that differ only by rounding count as equal.
        right: Index of the right label.

    Returns:
        1 / the number of likeliest labels if the right one is among them, else 0: a model that gives n labels
        the same probability scores 1 / n, whatever the index of the right one.
    """
    logs = np.asarray(log_probabilities, dtype=np.float64)
    likeliest = logs >= logs.max() - ROUNDING
    return float(likeliest[right] / likeliest.sum())


class LabelBaselines(NamedTuple):
    """Baselines that need no model, for outputs among known labels; each of shape (outputs,).

    Attributes:
        uniform_loss: Loss of the uniform guess in nats, ``ln n_labels``.
        counting_loss: Loss of counting the outputs before, with one added to each label, in nats.
        majority_accuracy: Accuracy in [0, 1] of one of the most frequent labels so far, drawn evenly.
    """

    uniform_loss: NDArray[np.float64]
    counting_loss: NDArray[np.float64]
    majority_accuracy: NDArray[np.float64]


def label_baselines(outputs: Sequence[str], *, n_labels: int) -> LabelBaselines:
    """Return the baselines of each output given those before it.

    They know the labels beforehand, and nothing of inputs and descriptions.

    Args:
        outputs: The labels of a sequence, in order.
        n_labels: Number of labels that may come, at least the number of different outputs.

    Raises:
        ValueError: If more labels came than there are.
    """
    if n_labels < max(1, len(set(outputs))):
        raise ValueError(f"{len(set(outputs))} different outputs came, but there are {n_labels} labels")
    seen, loss, accuracy = Counter[str](), [], []
    for n, output in enumerate(outputs):
        loss.append(-np.log((seen[output] + 1) / (n + n_labels)))
        most = max(seen.values(), default=0)
        often = sum(count == most for count in seen.values()) if n else n_labels
        accuracy.append((seen[output] == most) / often)
        seen[output] += 1
    return LabelBaselines(np.full(len(outputs), np.log(n_labels)), np.array(loss), np.array(accuracy, float))


class MarginalBaselines(NamedTuple):
    """Baselines from others' answers, for outputs among known labels; each of shape (outputs,), in nats.

    Attributes:
        marginal_loss: Loss of the shares of the others' answers, whatever came before.
        marginal_counting_loss: Loss of counting the outputs before, with as much added to all labels together
            as in ``counting_loss``, but by these shares.
    """

    marginal_loss: NDArray[np.float64]
    marginal_counting_loss: NDArray[np.float64]


def marginal_baselines(
    outputs: Sequence[str], *, others: Mapping[str, int], n_labels: int
) -> MarginalBaselines:
    """Return the baselines of each output given the answers of others, with one added to each label.

    Args:
        outputs: The labels of a sequence, in order.
        others: Label to how often others gave it.
        n_labels: Number of labels that may come, at least the number of different labels of all.

    Raises:
        ValueError: If more labels came than there are.
    """
    if n_labels < len({*outputs, *others}):
        raise ValueError(f"{len({*outputs, *others})} different labels came, but there are {n_labels}")
    total, seen = sum(others.values()) + n_labels, Counter[str]()
    shares = np.array([(others.get(output, 0) + 1) / total for output in outputs])
    counted = []
    for n, (output, share) in enumerate(zip(outputs, shares, strict=True)):
        counted.append(-np.log((seen[output] + n_labels * share) / (n + n_labels)))
        seen[output] += 1
    return MarginalBaselines(-np.log(shares), np.array(counted, float))


def unigram_losses(outputs: Sequence[Sequence[int]], *, vocabulary: int) -> NDArray[np.float64]:
    """Return the loss of each output if its tokens were drawn one by one like those of the outputs before it.

    With t different tokens among n so far (Witten and Bell), a further token has the probability (its count +
    t / ``vocabulary``) / (n + t): t in n + t are kept for new ones, spread over the vocabulary. Adding one to
    each of 150,000 tokens instead would be nearly uniform, whatever came before.

    Args:
        outputs: Token ids of each output of a sequence, end of turn included, in order.
        vocabulary: Number of tokens that there are, at least 1.

    Returns:
        Shape (outputs,), in nats, summed over the tokens of an output; the first is uniform.
    """
    seen, losses = Counter[int](), []
    for tokens in outputs:
        # Without any token so far, all is kept for new ones.
        kept, total = (len(seen), seen.total() + len(seen)) if seen else (1, 1)
        losses.append(-sum(float(np.log((seen[token] + kept / vocabulary) / total)) for token in tokens))
        seen.update(tokens)
    return np.array(losses, float)
