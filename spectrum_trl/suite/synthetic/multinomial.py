"""Category counts of several draws, with probabilities from Dirichlet(1)."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy
from scipy.special import gammaln, xlogy

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.suite.randomness import sequence_length
from spectrum_trl.suite.sequences.generators import Draw, drawn
from spectrum_trl.suite.synthetic.categorical import draw_probabilities, listed
from spectrum_trl.suite.task import Distribution

MEAN_TOTAL = 32

Layout = Literal["mapping", "list"]

_DESCRIPTIONS = (
    "Multinomial distribution: {total} draws from {k} categories with probabilities {p}; each output is a "
    "{layout} of counts.",
    "Multinomial(n={total}, p={p}), written as a {layout}",
    "Multinomial distribution: {total} draws from {k} categories of unknown probabilities, written as a "
    "{layout}.",
    "Multinomial distribution",
)


class Counts(NamedTuple):
    """The content of one output."""

    numbers: tuple[int, ...]
    layout: Layout

    def text(self) -> str:
        """Write as JSON: a mapping from label to count, or a list."""
        mapping = {str(label): n for label, n in enumerate(self.numbers)}
        return json.dumps(self.numbers if self.layout == "list" else mapping)


def read(text: str) -> Counts | None:
    """Parse text from :meth:`Counts.text`; return None for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list | dict):
        return None
    numbers = tuple(value.values() if isinstance(value, dict) else value)
    if not numbers or not all(type(n) is int and n >= 0 for n in numbers):
        return None
    counts = Counts(numbers, "mapping" if isinstance(value, dict) else "list")
    return counts if counts.text() == text else None


def predictive(
    outputs: Sequence[str],
    *,
    total: int | None = None,
    k: int | None = None,
    probabilities: Sequence[float] | None = None,
    layout: Layout | None = None,
) -> Distribution:
    """Return the distribution of the next text of counts.

    Every output shows the total, the number of categories and the layout, so they must be given only before
    the first one. A layout that is neither given nor seen is either one with probability 1/2.

    Args:
        outputs: Texts of counts seen so far, in any order.
        total: Sum of the counts.
        k: Number of categories.
        probabilities: Probabilities of the categories, if the description states them.
        layout: How the counts are written.

    Returns:
        The multinomial; else, with a Dirichlet(1) prior, the Dirichlet-multinomial. The support is None:
        finite, but too large to list.

    Raises:
        UserError: If neither arguments nor outputs give total and k, or an output disagrees.
    """
    seen = [read(text) for text in outputs]
    if seen and seen[0]:
        total, k = total or sum(seen[0].numbers), k or len(seen[0].numbers)
        layout = layout or seen[0].layout
    if total is None or k is None:
        raise UserError(
            "a multinomial predictive needs total and k: give both, or a first output of JSON counts"
        )

    def fits(counts: Counts | None) -> bool:
        if counts is None or layout not in (None, counts.layout):
            return False
        return len(counts.numbers) == k and sum(counts.numbers) == total

    refuse(
        f"output {place} is {text!r}: expected {k} counts that sum to {total}, as a JSON {layout}"
        for place, (text, counts) in enumerate(zip(outputs, seen, strict=True), start=1)
        if not fits(counts)
    )
    concentration = np.ones(k) + sum(np.array(counts.numbers) for counts in seen if counts)

    def pmf(text: str) -> float:
        counts = read(text)
        if counts is None or not fits(counts):
            return 0.0
        if probabilities is None:
            p = scipy.stats.dirichlet_multinomial.pmf(counts.numbers, concentration, np.array(total))
        else:
            numbers = np.array(counts.numbers)
            p = np.exp(gammaln(total + 1) + (xlogy(numbers, probabilities) - gammaln(numbers + 1)).sum())
        return float(p) if layout else float(p) / 2

    return Distribution(pmf, None)


def sample(rng: np.random.Generator) -> Draw:
    """Draw probabilities, a total of L(32), a layout, a template, and L(1024) texts of counts."""
    template = str(rng.choice(_DESCRIPTIONS))
    p = draw_probabilities(rng, rounded="{p}" in template)
    total = sequence_length(rng, mean=MEAN_TOTAL)
    layout: Layout = "mapping" if rng.random() < 0.5 else "list"
    description = template.format(total=total, k=len(p), p=listed(p), layout=layout)
    draws = rng.multinomial(total, p, sequence_length(rng, mean=1024))
    known: dict[str, Any] = {}
    if "{total}" in template:
        known = {"total": total, "k": len(p), "layout": layout}
    if "{p}" in template:
        known["probabilities"] = p.tolist()
    outputs = [Counts(tuple(numbers), layout).text() for numbers in draws.tolist()]
    return Draw(description, outputs, partial(predictive, **known))


TASKS = (drawn("multinomial", sample=sample, summary="counts over categories with random probabilities"),)
