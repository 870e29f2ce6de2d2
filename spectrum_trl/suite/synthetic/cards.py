"""Cards drawn from a shuffled deck, without replacement."""

from collections.abc import Sequence

import numpy as np

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.generators import Draw, count_labels, drawn, finite
from spectrum_trl.suite.task import Distribution

RANKS = (*map(str, range(2, 11)), "J", "Q", "K", "A")
DECK = tuple(rank + suit for suit in "♣♦♥♠" for rank in RANKS)

_DESCRIPTIONS = (
    "A shuffled standard deck of 52 playing cards, dealt one by one; no card is put back.",
    "Cards drawn without replacement from a standard 52-card deck.",
    "Standard deck, without replacement",
)


def predictive(outputs: Sequence[str]) -> Distribution:
    """Return the distribution of the next card: uniform over those not yet drawn.

    Args:
        outputs: Cards drawn so far, in any order, such as ``10♦``.

    Returns:
        Probability 1 / (52 - cards drawn) each; an empty support after the last card.

    Raises:
        UserError: If a text is not a card, or a card was drawn twice.
    """
    drawn = count_labels(outputs, labels=DECK)
    if twice := [card for card, n in zip(DECK, drawn, strict=True) if n > 1]:
        raise UserError(f"drawn more than once without replacement: {', '.join(twice)}; keep each card once")
    left = [card for card, n in zip(DECK, drawn, strict=True) if n == 0]
    return finite(dict.fromkeys(left, 1 / max(len(left), 1)))


def sample(rng: np.random.Generator) -> Draw:
    """Shuffle the deck and choose a template."""
    return Draw(str(rng.choice(_DESCRIPTIONS)), rng.permutation(DECK).tolist(), predictive)


TASKS = (
    drawn(
        "cards",
        distributions=100,
        sample=sample,
        summary="cards drawn from a shuffled deck, without replacement",
    ),
)
