"""Tuning tasks of the tiny world: distributions like the held-out ones, with other words and numbers."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from spectrum_trl.suite.sequences.builders import iid
from spectrum_trl.suite.task import Data, Message, Task
from spectrum_trl.tiny.world import words, worlds

# Sequences available per task; a recipe takes as many as it needs.
SEQUENCES = 100_000
# Reading a description is learnt from first outputs, since later ones can be inferred from earlier ones: such
# sequences are short. The others teach learning from examples and are long.
FEW, MANY = (2, 5), (10, 25)


def _labels(rng: np.random.Generator) -> worlds.World:
    # Longer lists are harder, so most sequences have them.
    k = 2 if rng.random() < 0.15 else int(rng.integers(3, 6))
    return worlds.unknown_labels(rng, labels=words.LABELS, sentences=words.LABEL_SENTENCES, k=k)


KINDS: dict[str, tuple[Callable[[np.random.Generator], worlds.World], tuple[int, int]]] = {
    "counts": (partial(worlds.counts, labels=words.LABELS, sentences=words.COUNT_SENTENCES), FEW),
    "labels": (_labels, MANY),
    "range": (partial(worlds.number_range, sentences=words.RANGE_SENTENCES, whole_tens=True), FEW),
    "near": (partial(worlds.near_number, sentences=words.NEAR_SENTENCES), MANY),
}


def _build(data: Data, *, kind: str) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([data.seed, *f"_{kind}".encode()])
    world, outputs = KINDS[kind]
    for index in range(SEQUENCES):
        drawn = world(rng)
        n = int(rng.integers(*outputs, endpoint=True))
        yield str(index), iid(drawn.draw(rng, n), description=drawn.description)


TASKS = tuple(
    Task(
        name=f"tiny_{kind}",
        source=worlds.SOURCE,
        kind="numeric",
        split="train",
        build=partial(_build, kind=kind),
    )
    for kind in KINDS
)
