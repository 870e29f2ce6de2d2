"""Urns whose balls are told, from which one ball is drawn: the shares are exact.

2 to 5 of nine colours; of each a number of balls uniform from 1 to a number that is uniform from 1 to 10.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spectrum_trl.evaluation.alignment.task import AlignmentTask, Item

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white")
URNS = 1000


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the urns; nothing is read."""
    rng = np.random.default_rng(seed)
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


TASK = AlignmentTask(name="urn", source="synthetic", licence="none needed", build=items)
