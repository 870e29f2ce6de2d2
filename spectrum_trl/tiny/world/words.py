"""Words and sentences of the tiny world; wordings held out from tuning are named so."""

from collections.abc import Sequence

# Few, so that a model of half a million parameters can tell them apart in any mixture.
LABELS = (
    "red blue green white black yellow cat dog horse fox owl bear sun moon star oak tea milk yes no".split()
)

# Each sentence takes the listed contents, for example "3 red, 5 blue and 2 green".
COUNT_SENTENCES = (
    "A jar holds {} marbles. One is drawn and put back.",
    "A bag holds {} beads. One is drawn and put back.",
    "A box with {} stones. Take one, put it back.",
    "A bowl with {} chips. Take one, put it back.",
    "There are {} tickets in the hat. Each time one is picked and put back.",
    "There are {} cards in the pile. Each time one is picked and put back.",
    "In the drawer: {} buttons. One is drawn at random and put back.",
)
URN_SENTENCES = (
    "An urn contains {} balls. One is drawn at random and put back.",
    "In the urn: {} balls. Each time one is drawn and put back.",
    "There are {} balls in the urn. Take one, put it back.",
)

# Each takes the labels, for example "red, blue or green"; how often each comes is hidden.
LABEL_SENTENCES = (
    "Each time one of {}. How often each comes is not known.",
    "A spinner stops at {}. It may be unfair.",
    "One person answers {}. Some answers are more common.",
    "A machine shows {}. How often each comes is not known.",
    "A wheel stops at {}. How often each comes is not known.",
)
COIN_SENTENCES = (
    "A bent coin lands on {}. It may be unfair.",
    "Each time a coin shows {}. How often each comes is not known.",
)
DIE_SENTENCES = (
    "A loaded die shows {}. It may be unfair.",
    "Each time a die shows {}. How often each comes is not known.",
)

# Each takes the lowest and the highest number.
RANGE_SENTENCES = (
    "A whole number from {} to {}. Each is equally likely.",
    "Pick a number from {} to {} at random.",
    "Numbers from {} to {}, each equally likely.",
)
# More for tuning alone: with three wordings, a fourth is taken for another kind of number.
MORE_RANGE_SENTENCES = (
    "A random number from {} to {}.",
    "Numbers at random from {} to {}.",
    "Any whole number from {} to {}, each equally likely.",
    "One number from {} to {} is picked at random.",
    "Each time a number from {} to {}.",
    "At random, a whole number from {} to {}.",
)
HELD_OUT_RANGE_SENTENCES = (
    "A random whole number from {} to {}.",
    "Whole numbers from {} to {} at random.",
    "From {} to {}, a whole number is picked at random.",
    "Each time a whole number from {} to {}, all equally likely.",
)

NEAR_SENTENCES = (
    "Numbers from 0 to 99 close to some value that is not known.",
    "One person guesses numbers from 0 to 99.",
)
HELD_OUT_NEAR_SENTENCES = ("A machine shows numbers from 0 to 99 close to some value.",)


def listed(items: Sequence[str], *, last: str) -> str:
    """Join texts as English does: ``a, b and c``.

    Args:
        items: At least one text.
        last: The word before the last one, ``and`` or ``or``.
    """
    return f" {last} ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]
