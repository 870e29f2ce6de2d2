"""What the tiny evaluation measures on: worlds in wordings, counts and ranges that tuning never sees."""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.tiny.world import words, worlds

URNS = 200
SEQUENCES, OUTPUTS = 400, 25
URN_PROMPTS, RANGE_PROMPTS, SAMPLES = 8, 8, 100
# Urn prompts have at least this many kinds; range prompts are spread over the widths of this many ranges.
MANY_KINDS, RANGES = 5, 40


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
        prompts: Worlds to sample many times: urns, then ranges from narrow to wide.
    """

    urns: list[worlds.World]
    coin: Sequences
    die: Sequences
    number: Sequences
    prompts: list[worlds.World]


@cache
def evaluation_items(seed: int) -> EvaluationItems:
    """Draw the evaluation's worlds and samples; each part has its own stream of randomness.

    Args:
        seed: Not negative.
    """
    streams = [np.random.default_rng([seed, part]) for part in range(5)]
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
        prompts=[*islice(_full_urns(streams[4]), URN_PROMPTS), *_ranges(streams[4])],
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


def _full_urns(rng: np.random.Generator) -> Iterator[worlds.World]:
    while True:
        world = _urn(rng)
        if len(probabilities(world)) >= MANY_KINDS:
            yield world


def _ranges(rng: np.random.Generator) -> list[worlds.World]:
    drawn = [
        worlds.number_range(
            rng, sentences=words.HELD_OUT_RANGE_SENTENCES, for_evaluation=True, whole_tens=True
        )
        for _ in range(RANGES)
    ]
    step = RANGES // RANGE_PROMPTS
    return sorted(drawn, key=lambda world: len(probabilities(world)))[step // 2 :: step]
