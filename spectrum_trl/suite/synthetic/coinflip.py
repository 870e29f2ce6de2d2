"""Flips of a coin whose bias is uniform a priori."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.suite.randomness import sequence_length
from spectrum_trl.suite.sequences.generators import Draw, count_labels, drawn, finite, quadrature
from spectrum_trl.suite.task import Distribution

LABELS = ("Heads", "Tails")

# {x}, {y}: the labels in either order; {p}, {q}: their probabilities, with {d} decimals ({e} in percent).
_DESCRIPTIONS = (
    "{x} or {y}",
    "One coin, flipped again and again: each output is {x} or {y}.",
    '{{"{x}": {p:.{d}f}, "{y}": {q:.{d}f}}}',
    "{x} {p:.{e}%}, {y} {q:.{e}%}",
    "Bernoulli distribution: {x} with probability {p:.{d}f}, {y} with probability {q:.{d}f}",
    "Bernoulli trials ({x}: {p:.{e}%}, {y}: {q:.{e}%})",
    "Flips of a bent coin that shows {likely} more often than {unlikely}.",
    "Flips of one coin, which may be biased.",
)


def _mean_above_half(first: int, second: int) -> float:
    """Return E[p] under Beta(first, second) truncated to p > 1/2, by quadrature: both tails may underflow."""
    p, log_weights = quadrature(0.5, 1)
    log_density = log_weights + (first - 1) * np.log(p) + (second - 1) * np.log1p(-p)
    return float(np.exp(log_density - logsumexp(log_density)) @ p)


def predictive(
    outputs: Sequence[str], *, heads: float | None = None, likelier: str | None = None
) -> Distribution:
    """Return the distribution of the next flip.

    Args:
        outputs: Flips seen so far, ``Heads`` or ``Tails``, in any order.
        heads: Probability of Heads in [0, 1], if the description states it.
        likelier: The label with a probability above 1/2, if the description states only that.

    Returns:
        ``heads`` if given; else the mean of Beta(1 + heads seen, 1 + tails seen), truncated to the half
        in which ``likelier`` is the likelier label, if given.

    Raises:
        UserError: If a label is neither Heads nor Tails.
    """
    if likelier not in (None, *LABELS):
        raise UserError(f"likelier is {likelier!r}: expected Heads or Tails.{nearest(str(likelier), LABELS)}")
    seen = 1 + count_labels(outputs, labels=LABELS)
    if heads is None and likelier is None:
        heads = seen[0] / seen.sum()
    elif heads is None and likelier == "Heads":
        heads = _mean_above_half(seen[0], seen[1])
    elif heads is None:
        heads = 1 - _mean_above_half(seen[1], seen[0])
    return finite({"Heads": float(heads), "Tails": 1 - float(heads)})


def sample(rng: np.random.Generator) -> Draw:
    """Draw a bias, a template and L(128) flips; a stated bias is rounded before the flips are drawn."""
    heads, decimals, template = rng.random(), int(rng.integers(2, 5)), str(rng.choice(_DESCRIPTIONS))
    known: dict[str, Any] = {}
    if "{p" in template:
        heads = known["heads"] = round(heads, decimals)
    labels = dict(zip(LABELS, (heads, 1 - heads), strict=True))
    unlikely, likely = sorted(labels, key=labels.__getitem__)
    if "{likely}" in template:
        known["likelier"] = likely
    x, y = rng.permutation(LABELS).tolist()
    description = template.format(
        x=x, y=y, p=labels[x], q=labels[y], d=decimals, e=decimals - 2, likely=likely, unlikely=unlikely
    )
    flips = rng.random(sequence_length(rng, mean=128)) < heads
    return Draw(description, np.where(flips, *LABELS).tolist(), partial(predictive, **known))


TASKS = (drawn("coinflip", distributions=1000, sample=sample, summary="flips of a coin of unknown bias"),)
