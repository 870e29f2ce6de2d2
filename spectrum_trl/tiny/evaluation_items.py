"""The items of the tiny evaluation: worlds with wordings, counts and ranges that tuning never sees."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.tiny.world import words, worlds

HeldPart = Literal["evaluation", "choice"]

URNS = 200
SEQUENCES, OUTPUTS = 400, 25
# Prompts to sample of each kind, and samples per prompt.
PROMPTS, SAMPLES = 32, 100
# Urns to sample have at least this many labels.
MANY_KINDS = 5


@dataclass(frozen=True)
class Sequences:
    """Sequences of one kind with hidden parameters.

    Attributes:
        sources: One per sequence.
        outputs: ``OUTPUTS`` samples per sequence.
    """

    sources: list[worlds.World]
    outputs: list[list[str]]

    @property
    def descriptions(self) -> list[str]:
        """Description of the source, one text per sequence."""
        return [world.description for world in self.sources]

    @cached_property
    def optimal(self) -> NDArray[np.float64]:
        """Loss of the Bayes-optimal predictor in nats, shape (sequences, outputs)."""
        losses = [
            [-np.log(world.predictive(texts[:index]).pmf(text)) for index, text in enumerate(texts)]
            for world, texts in zip(self.sources, self.outputs, strict=True)
        ]
        return np.array(losses)


class EvaluationItems(NamedTuple):
    """All items of an evaluation.

    Attributes:
        urns: Labels with described counts.
        coin: Two labels of unknown probability.
        die: Three to five labels of unknown probability.
        number: Numbers around an unknown value.
        full_urns: Urns to sample many times, with different descriptions.
        ranges: Ranges to sample many times, with different descriptions.
    """

    urns: list[worlds.World]
    coin: Sequences
    die: Sequences
    number: Sequences
    full_urns: list[worlds.World]
    ranges: list[worlds.World]


@cache
def evaluation_items(seed: int, *, part: HeldPart = "evaluation") -> EvaluationItems:
    """Draw the worlds and samples of a held-out part; each kind has its own random stream.

    The part is ``evaluation``, or ``choice`` for choosing settings; the seed is not negative.
    """
    # Otherwise settings would be chosen on the evaluation samples, only worded differently.
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
    """Return the probability of each possible first output."""
    distribution = world.predictive(())
    return {text: distribution.pmf(text) for text in distribution.support or ()}


def _sequences(drawn: list[worlds.World], *, rng: np.random.Generator) -> Sequences:
    return Sequences(drawn, [world.draw(rng, OUTPUTS) for world in drawn])


def _different(propose: Callable[[], worlds.World], *, least: int) -> list[worlds.World]:
    """Propose worlds with at least ``least`` answers until there are enough with different descriptions.

    A small part has fewer, all of which thousands of proposals find.
    """
    found: dict[str, worlds.World] = {}
    for _ in range(100 * PROMPTS):
        world = propose()
        if len(probabilities(world)) >= least:
            found.setdefault(world.description, world)
        if len(found) == PROMPTS:
            break
    return list(found.values())
