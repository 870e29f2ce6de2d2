"""People who each choose among three flights by hidden weights (as in arXiv 2503.17523, A.1)."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.builders import Sequences, description_message, pair
from spectrum_trl.suite.sequences.generators import count_labels, finite, generator
from spectrum_trl.suite.source import SUITE
from spectrum_trl.suite.task import Data, Distribution, Task

PEOPLE, EXAMPLES, FLIGHTS = 200, 20, 3
CHOICES = ("1", "2", "3")
FEATURES = ("departure time", "duration", "price", "number of stops")
# Departure, duration and price are 0 … LAST on a grid; the stops 0, 1, 2 stand for 0, 0.5, 1.
LAST = 99
# Multiplies the features to whole numbers (see `_features`): ties are then exact.
_PER_STEP = np.array([2, 2, 2, LAST])
_DEPARTURES = (5 * 60, 24 * 60)
_DURATIONS = (45, 16 * 60)
_PRICES = (50, 1500)

_DESCRIPTIONS = (
    "One traveller chooses among three flights again and again, always by the same taste.",
    "Which of the three flights does this person book? All the choices are the same person's.",
    "Flight choices of a single person: 1, 2 or 3",
)
_LINE = re.compile(
    r"([123])\. departs (\d\d):(\d\d), takes (\d{1,2})h(\d\d), costs \$(\d{2,4}), (\d) stops?", flags=re.ASCII
)


def _shown(step: int, *, limits: tuple[int, int], unit: int = 1) -> int:
    """Return the value of a grid step, rounded to a unit."""
    return unit * round((limits[0] + (limits[1] - limits[0]) * step / LAST) / unit)


def written(flights: Sequence[Sequence[int]]) -> str:
    """Write flights as an input.

    Args:
        flights: For each, the grid steps (0 … 99) of departure, duration and price, and the stops (0 … 2).

    Returns:
        One line per flight: departure 05:00 to 24:00, duration 0h45 to 16h00, price $50 to $1500 in tens.
    """
    lines = []
    for place, (departure, duration, price, stops) in enumerate(flights, start=1):
        hour, minute = divmod(_shown(departure, limits=_DEPARTURES), 60)
        hours, minutes = divmod(_shown(duration, limits=_DURATIONS), 60)
        lines.append(
            f"{place}. departs {hour:02}:{minute:02}, takes {hours}h{minutes:02}, "
            f"costs ${_shown(price, limits=_PRICES, unit=10)}, {stops} stop{'' if stops == 1 else 's'}"
        )
    return "\n".join(lines)


def read(given: str) -> np.ndarray:
    """Parse an input.

    Args:
        given: Text from :func:`written`.

    Returns:
        Integers, shape (3, 4).

    Raises:
        UserError: If the text is anything else.
    """
    matches = [_LINE.fullmatch(line) for line in given.split("\n")]
    flights = []
    for match in filter(None, matches):
        _, hour, minute, hours, minutes, price, stops = map(int, match.groups())
        shown = ((60 * hour + minute, _DEPARTURES), (60 * hours + minutes, _DURATIONS), (price, _PRICES))
        flights.append([*(round(LAST * (x - low) / (high - low)) for x, (low, high) in shown), stops])
    if len(flights) != FLIGHTS or written(flights) != given:
        raise UserError(f"flights {given!r}: expected three lines as written by flight.written")
    return np.array(flights)


@cache
def weight_vectors() -> np.ndarray:
    """Return all weights in halves, shape (255, 4): whole numbers from -2 to 1, not all zero."""
    return np.array([w for w in product(range(-2, 2), repeat=len(FEATURES)) if any(w)])


def choices(flights: np.ndarray, *, weights: np.ndarray) -> np.ndarray:
    """Return the flight with the largest weighted sum, the first on ties.

    Args:
        flights: Shape (…, 3, 4): grid steps and stops.
        weights: Whole numbers, shape (people, 4).

    Returns:
        Indices 0 to 2, shape (…, people).
    """
    return np.argmax((flights * _PER_STEP) @ weights.T, axis=-2)


def predictive(outputs: Sequence[str], *, inputs: Sequence[str]) -> Distribution:
    """Return the distribution of the next choice.

    Args:
        outputs: Choices seen so far: ``1``, ``2`` or ``3``.
        inputs: The flights of each choice, in the same order, followed by those of the next choice.

    Returns:
        The share of each flight among the weight vectors that explain all choices seen.

    Raises:
        UserError: If inputs and outputs do not match, a text cannot be read, or no weights explain the
            choices.
    """
    count_labels(outputs, labels=CHOICES)
    if len(inputs) != len(outputs) + 1:
        raise UserError(
            f"{counted(len(inputs), 'input')} and {counted(len(outputs), 'choice')}: append one more "
            "input, for the next choice"
        )
    chosen = choices(np.stack([read(given) for given in inputs]), weights=weight_vectors())
    seen = np.array([int(text) - 1 for text in outputs], dtype=np.int64)
    fitting = (chosen[:-1] == seen[:, None]).all(axis=0)
    if not fitting.any():
        raise UserError("no weights from -1, -0.5, 0, 0.5 explain these choices: check inputs and outputs")
    shares = np.bincount(chosen[-1, fitting], minlength=FLIGHTS) / fitting.sum()
    return finite(dict(zip(CHOICES, shares.tolist(), strict=True)))


def build(data: Data) -> Sequences:
    """Yield 200 people with 20 choices each."""
    rng = generator("flight", seed=data.seed)
    for person in range(PEOPLE):
        weights = rng.choice(weight_vectors())
        flights = rng.integers(0, LAST, size=(EXAMPLES, FLIGHTS, len(FEATURES)), endpoint=True)
        flights[..., -1] = rng.integers(0, 3, size=(EXAMPLES, FLIGHTS))
        description = str(rng.choice(_DESCRIPTIONS))
        chosen = choices(flights, weights=weights[None])[:, 0]
        messages = [description_message(description)]
        for offered, choice in zip(flights.tolist(), chosen, strict=True):
            messages += pair(written(offered), CHOICES[choice])
        yield str(person), messages


TASKS = (
    Task(
        name="flight",
        summary="choices among three flights by hidden preferences",
        source=SUITE,
        kind="individual",
        split="test",
        build=build,
    ),
)
