"""Words and sentences of the tiny world: for training, for choosing settings, and for evaluation.

The words of a held-out sentence occur in other sentences of the base corpora: urns with beads, boxes of
balls, coins that answer. The sentence itself is in no corpus and no tuning sequence.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Literal, NamedTuple

# Few enough for a model of a million parameters to distinguish them in any mixture.
LABELS = (
    "red blue green white black yellow cat dog horse fox owl bear sun moon star oak tea milk yes no".split()
)

# Each sentence takes the listed contents, for example "3 red, 5 blue and 2 green".
CONTAINERS = ("jar", "bag", "box", "bowl", "hat", "drawer", "basket", "tin")
THINGS = ("marbles", "beads", "stones", "chips", "tickets", "cards", "buttons", "pieces")
HEADS = (
    "A {container} holds {{}} {things}.",
    "A {container} contains {{}} {things}.",
    "A {container} with {{}} {things}.",
    "There are {{}} {things} in the {container}.",
    "In the {container}: {{}} {things}.",
    "The {container} has {{}} {things} in it.",
)
TAILS = (
    "One is drawn and put back.",
    "One is drawn at random and put back.",
    "Each time one is drawn and put back.",
    "Each time one is picked and put back.",
    "Take one, put it back.",
    "One is taken at random and returned.",
)
URN_SENTENCES = (
    "An urn contains {} balls. One is drawn at random and put back.",
    "In the urn: {} balls. Each time one is drawn and put back.",
    "There are {} balls in the urn. Take one, put it back.",
)
POT_SENTENCES = (
    "A pot contains {} pearls. One is drawn at random and put back.",
    "In the pot: {} pearls. Each time one is drawn and put back.",
    "There are {} pearls in the pot. Take one, put it back.",
)

# Each takes the labels, for example "red, blue or green"; how often each comes is hidden.
DEVICES = (
    ("spinner", "stops at"),
    ("wheel", "stops at"),
    ("machine", "shows"),
    ("lamp", "shows"),
    ("person", "answers"),
    ("pointer", "lands on"),
)
DEVICE_HEADS = (
    "A {device} {verb} {{}}.",
    "Each time a {device} {verb} {{}}.",
    "The {adjective} {device} {verb} {{}}.",
)
ADJECTIVES = ("old", "bent", "loaded", "worn")
DEVICE_TAILS = (
    "It may be unfair.",
    "How often each comes is not known.",
    "Some are more common.",
    "Some come more often than others.",
)
COIN_SENTENCES = (
    "A bent coin lands on {}. It may be unfair.",
    "Each time a coin shows {}. How often each comes is not known.",
)
DIE_SENTENCES = (
    "A loaded die shows {}. It may be unfair.",
    "Each time a die shows {}. How often each comes is not known.",
)
DISC_SENTENCES = (
    "A bent disc lands on {}. It may be unfair.",
    "Each time a disc shows {}. How often each comes is not known.",
)

# Each takes the lowest and the highest number.
RANGE_SENTENCES = (
    "A whole number from {} to {}. Each is equally likely.",
    "Pick a number from {} to {} at random.",
    "Numbers from {} to {}, each equally likely.",
    "A random number from {} to {}.",
    "Numbers at random from {} to {}.",
    "Any whole number from {} to {}, each equally likely.",
    "One number from {} to {} is picked at random.",
    "Each time a number from {} to {}.",
    "At random, a whole number from {} to {}.",
)
HELD_OUT_RANGE_SENTENCES = (
    "A random whole number from {} to {}.",
    "Any whole number from {} to {} at random.",
    "Each time one whole number from {} to {} is picked.",
    "Each time a whole number from {} to {}, each equally likely.",
)
CHOICE_RANGE_SENTENCES = ("Each time a random number from {} to {}.",)

NEAR_SENTENCES = (
    "Numbers from 0 to 99 close to some value that is not known.",
    "One person guesses numbers from 0 to 99.",
    "A lamp shows numbers from 0 to 99 around some value.",
    "The machine guesses a value from 0 to 99. Its numbers are close.",
    "Each time a number from 0 to 99 close to one value.",
)
HELD_OUT_NEAR_SENTENCES = ("A machine shows numbers from 0 to 99 close to some value.",)
CHOICE_NEAR_SENTENCES = ("A person shows numbers from 0 to 99 close to one value.",)


class Held(NamedTuple):
    """Sentences of one held-out part of the world.

    Attributes:
        counts: Sentences with a placeholder for the listed contents.
        coin: Sentences with a placeholder for two labels.
        die: Sentences with a placeholder for three to five labels.
        range: Sentences with placeholders for the lowest and the highest number.
        near: Sentences about numbers near a value.
    """

    counts: tuple[str, ...]
    coin: tuple[str, ...]
    die: tuple[str, ...]
    range: tuple[str, ...]
    near: tuple[str, ...]


HELD: dict[Literal["evaluation", "choice"], Held] = {
    "evaluation": Held(
        URN_SENTENCES, COIN_SENTENCES, DIE_SENTENCES, HELD_OUT_RANGE_SENTENCES, HELD_OUT_NEAR_SENTENCES
    ),
    "choice": Held(
        POT_SENTENCES, DISC_SENTENCES, DISC_SENTENCES, CHOICE_RANGE_SENTENCES, CHOICE_NEAR_SENTENCES
    ),
}


def count_sentences(containers: Iterable[str], things: Iterable[str]) -> tuple[str, ...]:
    """Return every sentence about these containers and things, except urns of balls and pots of pearls."""
    kept = (("urn", "balls"), ("pot", "pearls"))
    pairs = [pair for pair in product(containers, things) if pair not in kept]
    return tuple(
        f"{head} {tail}".format(container=container, things=kind).replace("A urn", "An urn")
        for (container, kind), head, tail in product(pairs, HEADS, TAILS)
    )


def label_sentences(devices: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return every sentence about these devices."""
    sentences = (
        f"{head} {tail}".format(device=device, verb=verb, adjective=adjective)
        for (device, verb), head, adjective, tail in product(devices, DEVICE_HEADS, ADJECTIVES, DEVICE_TAILS)
    )
    # Not every head has an adjective.
    return tuple(dict.fromkeys(sentences))


COUNT_SENTENCES = count_sentences(CONTAINERS, THINGS)
LABEL_SENTENCES = label_sentences(DEVICES)
# The base corpora also contain the words of the held-out sentences.
BASE_COUNT_SENTENCES = count_sentences((*CONTAINERS, "urn", "pot"), (*THINGS, "balls", "pearls"))
BASE_LABEL_SENTENCES = label_sentences(
    (*DEVICES, ("coin", "stops at"), ("coin", "answers"), ("die", "stops at"), ("die", "answers"))
    + (("disc", "stops at"), ("disc", "answers"))
)


def listed(items: Sequence[str], *, last: str) -> str:
    """Join texts, at least one, as English does: ``a, b and c``; ``last`` is ``and`` or ``or``."""
    return f" {last} ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]
