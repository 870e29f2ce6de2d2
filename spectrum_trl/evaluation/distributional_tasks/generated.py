"""Questions with exact targets that need no data: states of the USA, uniformly, and urns with known balls.

Each urn has 2 to 5 of nine colours; each colour's number of balls is uniform from 1 to n, n uniform from 1
to 10.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import us

from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item, shares
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.source import KIT

STATES = tuple(sorted(state.name for state in us.states.STATES))
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white")
URNS = 1000


def states(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the question; nothing is read or drawn."""
    question = "Pick one of the 50 states of the USA, each with the same probability, and write its name."
    yield Item(None, question, STATES, shares([1] * len(STATES)), None, "states")


def urns(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the urns; nothing is read."""
    rng = stream(seed, task="urn", purpose="urns")
    for number in range(URNS):
        colours = rng.choice(COLOURS, size=int(rng.integers(2, 6)), replace=False).tolist()
        counts = [int(rng.integers(1, int(rng.integers(1, 11)) + 1)) for _ in colours]
        balls = [
            f"{count} {colour} {'ball' if count == 1 else 'balls'}"
            for count, colour in zip(counts, colours, strict=True)
        ]
        yield Item(
            description=f"A well shaken urn that holds {', '.join(balls[:-1])} and {balls[-1]}.",
            input="One ball is drawn without looking. Write its colour in lower case.",
            candidates=tuple(colours),
            target=shares(counts),
            group=None,
            cluster=str(number),
        )


TASKS = (
    DistributionalTask(
        name="states", summary="the 50 states of the USA, uniformly", source=KIT, build=states
    ),
    DistributionalTask(name="urn", summary="balls from urns with known contents", source=KIT, build=urns),
)
