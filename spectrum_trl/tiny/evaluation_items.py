"""What the tiny evaluation measures on: worlds in wordings, counts and ranges that tuning never sees."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.tiny.world import words, worlds

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
def evaluation_items(seed: int) -> EvaluationItems:
    """Draw the evaluation's worlds and samples; each part has its own stream of randomness.

    Args:
        seed: Not negative.
    """
    streams = [np.random.default_rng([seed, part]) for part in range(6)]
    return EvaluationItems(
        urns=[_urn(streams[0]) for _ in range(URNS)],
        coin=_sequences([_labels(streams[1], k=2) for _ in range(SEQUENCES)], rng=streams[1]),
        die=_sequences(
            [_labels(streams[2], k=int(streams[2].integers(3, 6))) for _ in range(SEQUENCES)], rng=streams[2]
        ),
        number=_sequences(
            [
                worlds.near_number(streams[3], sentences=words.HELD_OUT_NEAR_SENTENCES)
                for _ in range(SEQUENCES)
            ],
            rng=streams[3],
        ),
        full_urns=_different(lambda: _urn(streams[4]), least=MANY_KINDS),
        ranges=_different(lambda: _range(streams[5]), least=1),
    )


def probabilities(world: worlds.World) -> dict[str, float]:
    """Return the probability of every possible first output."""
    distribution = world.predictive(())
    return {text: distribution.pmf(text) for text in distribution.support or ()}


def _urn(rng: np.random.Generator) -> worlds.World:
    return worlds.counts(rng, labels=words.LABELS, sentences=words.URN_SENTENCES, for_evaluation=True)


def _labels(rng: np.random.Generator, *, k: int) -> worlds.World:
    sentences = words.COIN_SENTENCES if k == 2 else words.DIE_SENTENCES
    return worlds.unknown_labels(rng, labels=words.LABELS, sentences=sentences, k=k)


def _sequences(drawn: list[worlds.World], *, rng: np.random.Generator) -> Sequences:
    outputs = [world.draw(rng, OUTPUTS) for world in drawn]
    optimal = [
        [-np.log(world.predictive(texts[:index]).pmf(text)) for index, text in enumerate(texts)]
        for world, texts in zip(drawn, outputs, strict=True)
    ]
    return Sequences([world.description for world in drawn], outputs, np.array(optimal))


def _range(rng: np.random.Generator) -> worlds.World:
    return worlds.number_range(
        rng, sentences=words.HELD_OUT_RANGE_SENTENCES, for_evaluation=True, whole_tens=True
    )


def _different(propose: Callable[[], worlds.World], *, least: int) -> list[worlds.World]:
    """Propose worlds with at least so many answers until there are enough with different descriptions."""
    found: dict[str, worlds.World] = {}
    while len(found) < PROMPTS:
        world = propose()
        if len(probabilities(world)) >= least:
            found.setdefault(world.description, world)
    return list(found.values())
