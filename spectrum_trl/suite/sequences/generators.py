"""Shared by the synthetic tasks: draws with their exact predictive, and distributions over texts."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from spectrum_trl.errors import nearest, refuse
from spectrum_trl.suite.sequences.builders import Sequences, iid
from spectrum_trl.suite.source import SUITE
from spectrum_trl.suite.task import Data, Distribution, Task

# Numbers with more digits do not fit into 64-bit integers.
MOST_DIGITS = 18


class Draw(NamedTuple):
    """One sequence of a synthetic task, before conversion to messages.

    Attributes:
        description: What is sampled, in words.
        outputs: The samples as texts.
        predictive: Maps the outputs so far to the Bayes-optimal distribution of the next, given the
            description; None if no exact one is known.
    """

    description: str
    outputs: list[str]
    predictive: Callable[[Sequence[str]], Distribution] | None


def generator(name: str, *, seed: int) -> np.random.Generator:
    """Return the random generator of a task, determined by its name and the seed."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The build of a task of i.i.d. draws.

    Attributes:
        name: Name of the task; with the seed, the only source of randomness.
        distributions: Number of sequences.
        sample: Draws the parameters of one distribution, then its samples.
    """

    name: str
    distributions: int
    sample: Callable[[np.random.Generator], Draw]

    def draws(self, *, seed: int) -> Iterator[tuple[str, Draw]]:
        """Yield sequence ids and draws."""
        rng = generator(self.name, seed=seed)
        for index in range(self.distributions):
            yield str(index), self.sample(rng)

    def __call__(self, data: Data) -> Sequences:
        """Yield sequence ids and messages; nothing is read or dropped."""
        for sequence_id, draw in self.draws(seed=data.seed):
            yield sequence_id, iid(draw.outputs, description=draw.description)


def drawn(
    name: str, *, sample: Callable[[np.random.Generator], Draw], distributions: int = 500, **facts: Any
) -> Task:
    """Return a task of i.i.d. draws that the paper defines; arguments as for `Draws` and `Task`."""
    build = Draws(name=name, distributions=distributions, sample=sample)
    return Task(name=name, source=SUITE, kind="numeric", build=build, **facts)


def stated(
    rng: np.random.Generator, *, templates: Sequence[str], decimals: Sequence[int] = (2,), **parameters: float
) -> tuple[str, dict[str, Any]]:
    """Choose a template and print the parameters it mentions.

    Draw samples from the values as printed, so the description is exactly true. A positive number that would
    print as zero is raised to the last decimal.

    Args:
        rng: Source of randomness.
        templates: Format strings that mention all, some or none of the parameters.
        decimals: Numbers of decimals to choose from; whole numbers (``int``) are printed without any.
        parameters: Positive values, by their names in the templates.

    Returns:
        The description, and the mentioned parameters as printed.
    """
    template, places = str(rng.choice(templates)), int(rng.choice(decimals))
    printed = {
        name: value if isinstance(value, int) else max(round(float(value), places), 10.0**-places)
        for name, value in parameters.items()
        if f"{{{name}}}" in template
    }
    texts = {name: str(v) if isinstance(v, int) else f"{v:.{places}f}" for name, v in printed.items()}
    return template.format(**texts), printed


def finite(probabilities: Mapping[str, float]) -> Distribution:
    """Return the distribution given by probabilities of texts; those of probability 0 leave the support."""
    return Distribution(
        lambda text: probabilities.get(text, 0.0), tuple(text for text, p in probabilities.items() if p > 0)
    )


def _whole(text: str) -> int | None:
    """Return the number that a text spells in plain digits, or None."""
    plain = text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS
    return int(text) if plain and (text[0] != "0" or text == "0") else None


def whole_numbers(pmf: Callable[[int], float], *, low: int = 0, high: int | None = None) -> Distribution:
    """Return a distribution over the texts of whole numbers.

    Args:
        pmf: Probability of a number from ``low`` to ``high``.
        low: Smallest number, at least 0.
        high: Largest number, or None if there are infinitely many (or too many to list).
    """

    def probability(text: str) -> float:
        number = _whole(text)
        inside = number is not None and number >= low and (high is None or number <= high)
        return min(float(pmf(number)), 1.0) if number is not None and inside else 0.0

    return Distribution(probability, None if high is None else tuple(map(str, range(low, high + 1))))


def read_whole_numbers(outputs: Sequence[str], *, low: int = 0, high: int | None = None) -> np.ndarray:
    """Read outputs as whole numbers.

    Args:
        outputs: Texts of plain digits.
        low: Smallest number allowed.
        high: Largest number allowed, or None.

    Returns:
        Integers, shape (number of outputs,).

    Raises:
        UserError: With every output that is not such a number.
    """
    numbers = [_whole(text) for text in outputs]
    limits = f"from {low}" + ("" if high is None else f" to {high}")
    refuse(
        f"output {place} is {text!r}: expected a whole number {limits} in plain digits; correct or remove it"
        for place, (text, number) in enumerate(zip(outputs, numbers, strict=True), start=1)
        if number is None or number < low or (high is not None and number > high)
    )
    return np.array(numbers, dtype=np.int64)


def count_labels(outputs: Sequence[str], *, labels: Sequence[str]) -> np.ndarray:
    """Count how often each label was seen.

    Args:
        outputs: Samples seen so far.
        labels: All possible samples.

    Returns:
        Integers, shape (number of labels,).

    Raises:
        UserError: With every output that is not a label.
    """
    counts = Counter(outputs)
    refuse(
        f"output {text!r} cannot be drawn here: expected one of {', '.join(labels)}.{nearest(text, labels)}"
        for text in sorted(set(counts) - set(labels))
    )
    return np.array([counts[label] for label in labels], dtype=np.int64)


@cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    # 500 nodes resolve posteriors as narrow as a hundredth of the interval.
    return np.polynomial.legendre.leggauss(500)


def quadrature(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Return Gauss-Legendre nodes in (low, high) and the logs of their weights, which sum to 1.

    Returns:
        Two arrays of shape (500,): a discretized uniform prior on the interval.
    """
    nodes, weights = _legendre()
    return low + (nodes + 1) / 2 * (high - low), np.log(weights / 2)
