"""Urns with known balls, from which one is drawn: the targets are exact.

Each has 2 to 5 of nine colours; each colour's number of balls is uniform from 1 to n, n uniform from 1 to 10.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.evaluation.distributional_tasks.distributional_task import DistributionalTask, Item
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.source import KIT

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white")
URNS = 1000


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
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
            target=tuple(count / sum(counts) for count in counts),
            group=None,
            cluster=str(number),
        )


TASKS = (
    DistributionalTask(
        name="urn",
        summary="balls from urns with known contents",
        source=KIT,
        build=items,
    ),
)
