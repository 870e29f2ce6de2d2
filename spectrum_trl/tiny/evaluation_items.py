"""What the tiny evaluation measures on: worlds in wordings, counts and ranges that tuning never sees."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.tiny.world import words, worlds

HeldPart = Literal["evaluation", "choice"]

URNS = 200
SEQUENCES, OUTPUTS = 400, 25
# Prompts that are sampled, of each kind.
PROMPTS, SAMPLES = 32, 100
# Urns that are sampled have at least this many kinds.
MANY_KINDS = 5


class Sequences(NamedTuple):
    """Sequences of one kind with hidden parameters.

    Attributes:
        descriptions: What is sampled, one text per sequence.
        outputs: ``OUTPUTS`` samples per sequence.
        optimal: Loss of the Bayes-optimal predictor in nats, shape (sequences, outputs).
    """

    descriptions: list[str]
    outputs: list[list[str]]
    optimal: NDArray[np.float64]


class EvaluationItems(NamedTuple):
    """All that is measured.

    Attributes:
        urns: Labels with described counts.
        coin: Two labels of unknown probability.
        die: Three to five.
        number: Numbers around an unknown value.
        full_urns: Urns to sample many times, no two alike.
        ranges: Ranges to sample many times, no two alike.
    """

    urns: list[worlds.World]
    coin: Sequences
    die: Sequences
    number: Sequences
    full_urns: list[worlds.World]
    ranges: list[worlds.World]


@cache
def evaluation_items(seed: int, *, part: HeldPart = "evaluation") -> EvaluationItems:
    """Draw the evaluation's worlds and samples; each kind has its own stream of randomness.

    Args:
        seed: Not negative.
        part: What is evaluated, or what settings are chosen on.
    """
    # Settings must not be chosen on the samples that are evaluated, in other words.
    own = [] if part == "evaluation" else [1]
    streams = [np.random.default_rng([seed, number, *own]) for number in range(6)]
    sentences = words.HELD[part]

    def urn(rng: np.random.Generator) -> worlds.World:
        return worlds.counts(rng, labels=words.LABELS, sentences=sentences.counts, part=part)

    def labels(rng: np.random.Generator, *, k: int) -> worlds.World:
        chosen = sentences.coin if k == 2 else sentences.die
        return worlds.unknown_labels(rng, labels=words.LABELS, sentences=chosen, k=k)

    def span(rng: np.random.Generator) -> worlds.World:
        return worlds.number_range(rng, sentences=sentences.range, part=part, whole_tens=True)

    return EvaluationItems(
        urns=[urn(streams[0]) for _ in range(URNS)],
        coin=_sequences([labels(streams[1], k=2) for _ in range(SEQUENCES)], rng=streams[1]),
        die=_sequences(
            [labels(streams[2], k=int(streams[2].integers(3, 6))) for _ in range(SEQUENCES)], rng=streams[2]
        ),
        number=_sequences(
            [worlds.near_number(streams[3], sentences=sentences.near) for _ in range(SEQUENCES)],
            rng=streams[3],
        ),
        full_urns=_different(lambda: urn(streams[4]), least=MANY_KINDS),
        ranges=_different(lambda: span(streams[5]), least=1),
    )


def probabilities(world: worlds.World) -> dict[str, float]:
    """Return the probability of every possible first output."""
    distribution = world.predictive(())
    return {text: distribution.pmf(text) for text in distribution.support or ()}


def _sequences(drawn: list[worlds.World], *, rng: np.random.Generator) -> Sequences:
    outputs = [world.draw(rng, OUTPUTS) for world in drawn]
    optimal = [
        [-np.log(world.predictive(texts[:index]).pmf(text)) for index, text in enumerate(texts)]
        for world, texts in zip(drawn, outputs, strict=True)
    ]
    return Sequences([world.description for world in drawn], outputs, np.array(optimal))


def _different(propose: Callable[[], worlds.World], *, least: int) -> list[worlds.World]:
    """Propose worlds with at least so many answers until there are enough with different descriptions.

    A part that is small has fewer of them, which thousands of proposals find.
    """
    found: dict[str, worlds.World] = {}
    for _ in range(100 * PROMPTS):
        world = propose()
        if len(probabilities(world)) >= least:
            found.setdefault(world.description, world)
        if len(found) == PROMPTS:
            break
    return list(found.values())
