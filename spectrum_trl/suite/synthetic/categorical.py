"""Labels 0 … k-1 whose probabilities follow Dirichlet(1)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.special import gammaln, logsumexp

from spectrum_trl.suite.randomness import length_pmf, sequence_length
from spectrum_trl.suite.sequences.generators import Draw, count_labels, drawn, finite, read_whole_numbers
from spectrum_trl.suite.task import Distribution

MEAN_LABELS = 12
DECIMALS = 4

_DESCRIPTIONS = (
    "Categorical distribution over {k} labels with probabilities {probabilities}",
    "Labels 0 to {last} (k = {k}), drawn independently. Probabilities in this order: {probabilities}",
    "Categorical(k={k}, p={probabilities})",
    "Categorical distribution",
)


def predictive(
    outputs: Sequence[str], *, k: int | None = None, probabilities: Sequence[float] | None = None
) -> Distribution:
    """Return the distribution of the next label.

    Args:
        outputs: Labels seen so far, in any order.
        k: Number of labels, at least 2, if the description states it.
        probabilities: Probabilities of the labels, if the description states them.

    Returns:
        The probabilities if given; else, with n labels seen, (1 + count) / (k + n); if k is unknown too,
        the mean of this over the posterior of k, whose prior is max(2, L(12)).

    Raises:
        UserError: If an output is not a label from 0 to k - 1.
    """
    if probabilities is not None:
        count_labels(outputs, labels=[str(label) for label in range(len(probabilities))])
        return finite({str(label): float(p) for label, p in enumerate(probabilities)})
    if k is not None:
        counts = count_labels(outputs, labels=[str(label) for label in range(k)])
        return finite({str(i): p for i, p in enumerate(((1 + counts) / (k + counts.sum())).tolist())})
    prior = length_pmf(MEAN_LABELS).copy()
    prior[2], prior[:2] = prior[:3].sum(), 0
    seen = read_whole_numbers(outputs, high=len(prior) - 1)
    counts = np.bincount(seen, minlength=len(prior) - 1)
    sizes = np.arange(max(2, seen.max(initial=0) + 1), len(prior))
    with np.errstate(divide="ignore"):
        log_weights = np.log(prior[sizes]) + gammaln(sizes) - gammaln(sizes + len(seen))
    # A label j needs k > j: the sum over k of weight / (k + n), from k = j + 1 upwards.
    shares = np.zeros(len(prior))
    shares[sizes] = np.exp(log_weights - logsumexp(log_weights)) / (sizes + len(seen))
    upwards = shares[::-1].cumsum()[::-1][1:]
    return finite({str(i): p for i, p in enumerate(((1 + counts) * upwards).tolist())})


def draw_probabilities(rng: np.random.Generator, *, rounded: bool) -> np.ndarray:
    """Draw Dirichlet(1) probabilities of max(2, L(12)) labels.

    Args:
        rng: Source of randomness.
        rounded: Whether to round to ``DECIMALS``; the largest one is then adjusted so they sum to 1.

    Returns:
        Shape (k,), k at least 2.
    """
    p = rng.dirichlet(np.ones(max(2, sequence_length(rng, mean=MEAN_LABELS))))
    if rounded:
        p = p.round(DECIMALS)
        p[p.argmax()] += 1 - p.sum()
    return p


def listed(p: np.ndarray) -> str:
    """Write probabilities as ``[0.1234, …]`` with ``DECIMALS`` decimals."""
    return f"[{', '.join(f'{share:.{DECIMALS}f}' for share in p)}]"


def sample(rng: np.random.Generator) -> Draw:
    """Draw probabilities, a template, and L(1024) labels."""
    template = str(rng.choice(_DESCRIPTIONS))
    is_known = "{probabilities}" in template
    p = draw_probabilities(rng, rounded=is_known)
    description = template.format(k=len(p), last=len(p) - 1, probabilities=listed(p))
    labels = rng.choice(len(p), sequence_length(rng, mean=1024), p=p)
    known = {"k": len(p), "probabilities": p.tolist()} if is_known else {}
    return Draw(description, [str(label) for label in labels.tolist()], partial(predictive, **known))


TASKS = (drawn("categorical", sample=sample, summary="labels with random probabilities"),)
