"""Distributions of the tiny world: description, sampler, and exact predictive distribution."""

import math
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import scipy

from spectrum_trl.suite.sequences.generators import finite
from spectrum_trl.suite.source import GENERATED, Source
from spectrum_trl.suite.task import Distribution
from spectrum_trl.tiny.world.words import listed

SOURCE = Source(name="tiny", title="The tiny world of spectrum-trl", licence=GENERATED)
# The ranges of the uniform prior over (mean, sd), and the numbers that can be drawn.
MEAN_RANGE, SD_RANGE = (0.0, 99.0), (2.0, 10.0)
NUMBERS = tuple(str(number) for number in range(100))


# The use of parameters: no model is tuned on, or chosen by, those that it is evaluated on.
Part = Literal["training", "choice", "evaluation"]


class World(NamedTuple):
    """One distribution.

    Attributes:
        description: Description of the source, in words.
        draw: Maps ``(generator, n)`` to n output texts.
        predictive: Maps the outputs so far to the Bayes-optimal distribution of the next one.
    """

    description: str
    draw: Callable[[np.random.Generator, int], list[str]]
    predictive: Callable[[Sequence[str]], Distribution]


def part_of(parameters: Sequence[int]) -> Part:
    """Return the part of parameters, in any order: a fifth are for evaluation, a tenth for choice."""
    bucket = zlib.crc32(str(sorted(int(p) for p in parameters)).encode()) % 10
    return "evaluation" if bucket in (0, 5) else "choice" if bucket == 1 else "training"


def proportions(pieces: Sequence[int]) -> tuple[int, ...]:
    """Reduce counts to the smallest with the same shares: 2 and 4 become 1 and 2."""
    divisor = math.gcd(*map(int, pieces))
    return tuple(int(n) // divisor for n in pieces)


def _parameters(
    propose: Callable[[], tuple[int, ...]], *, part: Part, rule: Callable[[tuple[int, ...]], Part] = part_of
) -> tuple[int, ...]:
    """Propose parameters until they belong to the requested part."""
    while rule(parameters := propose()) != part:
        pass
    return parameters


def _chosen(rng: np.random.Generator, labels: Sequence[str], k: int) -> list[str]:
    return [labels[index] for index in rng.permutation(len(labels))[:k]]


def _sentence(rng: np.random.Generator, sentences: Sequence[str]) -> str:
    # Generator.choice would convert them to an array each time.
    return sentences[int(rng.integers(len(sentences)))]


def contents(rng: np.random.Generator, *, labels: Sequence[str], part: Part = "training") -> dict[str, int]:
    """Draw the contents of a container, in proportions of a part: 2 to 5 labels with 1 to 9 pieces each."""
    k = int(rng.integers(2, 6))
    chosen = _chosen(rng, labels, k)
    pieces = _parameters(
        lambda: tuple(rng.integers(1, 10, k).tolist()),
        part=part,
        rule=lambda proposed: part_of(proportions(proposed)),
    )
    return dict(zip(chosen, pieces, strict=True))


def counts(
    rng: np.random.Generator, *, labels: Sequence[str], sentences: Sequence[str], part: Part = "training"
) -> World:
    """Return draws with replacement from a container whose `contents` a sentence describes."""
    held = contents(rng, labels=labels, part=part)
    chosen, p = list(held), np.array(list(held.values())) / sum(held.values())
    distribution = finite(dict(zip(chosen, p.tolist(), strict=True)))
    return World(
        _sentence(rng, sentences).format(listed([f"{n} {label}" for label, n in held.items()], last="and")),
        lambda generator, n: generator.choice(chosen, n, p=p).tolist(),
        lambda _: distribution,
    )


def unknown_labels(
    rng: np.random.Generator, *, labels: Sequence[str], sentences: Sequence[str], k: int
) -> World:
    """Return draws of k described labels with hidden probabilities, uniform on the simplex (Dirichlet(1)).

    ``rng`` draws the hidden probabilities too.
    """
    chosen = _chosen(rng, labels, k)
    p = rng.dirichlet(np.ones(k))

    def predictive(outputs: Sequence[str]) -> Distribution:
        seen = np.array([sum(text == label for text in outputs) for label in chosen])
        return finite(dict(zip(chosen, ((1 + seen) / (k + seen.sum())).tolist(), strict=True)))

    return World(
        _sentence(rng, sentences).format(listed(chosen, last="or")),
        lambda generator, n: generator.choice(chosen, n, p=p).tolist(),
        predictive,
    )


def number_range(
    rng: np.random.Generator, *, sentences: Sequence[str], part: Part = "training", whole_tens: bool
) -> World:
    """Return whole numbers drawn uniformly from a described range within 10 to 99 that belongs to a part.

    The range is like 20 to 59 for ``whole_tens``, else any of 5 to 90 numbers.
    """

    def propose() -> tuple[int, ...]:
        if whole_tens:
            first, last = sorted(rng.choice(np.arange(1, 10), 2).tolist())
            return 10 * first, 10 * last + 9
        width = int(rng.integers(5, 91))
        low = int(rng.integers(10, 101 - width))
        return low, low + width - 1

    low, high = _parameters(propose, part=part)
    numbers = [str(number) for number in range(low, high + 1)]
    distribution = finite(dict.fromkeys(numbers, 1 / len(numbers)))
    return World(
        _sentence(rng, sentences).format(low, high),
        lambda generator, n: generator.choice(numbers, n).tolist(),
        lambda _: distribution,
    )


@cache
def _number_grid() -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities and probabilities of 0 to 99 under rounded, truncated normals.

    Both have the shape (means * sds, 100).
    """
    means = np.linspace(*MEAN_RANGE, 100)
    sds = np.linspace(*SD_RANGE, 17)
    mean, sd = (grid.reshape(-1, 1) for grid in np.meshgrid(means, sds))
    logs = scipy.stats.norm.logpdf(np.arange(100), mean, sd)
    logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return logs, np.exp(logs)


def near_number(rng: np.random.Generator, *, sentences: Sequence[str]) -> World:
    """Return whole numbers from 0 to 99 around a hidden mean with a hidden spread (both uniform a priori).

    ``rng`` draws mean and spread too.
    """
    mean, sd = rng.uniform(*MEAN_RANGE), rng.uniform(*SD_RANGE)
    weights = scipy.stats.norm.pdf(np.arange(100), mean, sd)

    def predictive(outputs: Sequence[str]) -> Distribution:
        logs, shares = _number_grid()
        posterior = logs[:, [int(text) for text in outputs]].sum(axis=1)
        posterior = np.exp(posterior - np.logaddexp.reduce(posterior))
        return finite(dict(zip(NUMBERS, (posterior @ shares).tolist(), strict=True)))

    return World(
        _sentence(rng, sentences),
        lambda generator, n: generator.choice(NUMBERS, n, p=weights / weights.sum()).tolist(),
        predictive,
    )
