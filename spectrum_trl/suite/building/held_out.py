"""Individuals and questions held out of training, so that a task can be both trained on and evaluated."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.suite.building.cache import built_sequences
from spectrum_trl.suite.randomness import task_seed
from spectrum_trl.suite.task import SampleSequence, Task

# Distinguishes the choice from others by name, such as that of a user's `test_share`.
PURPOSE = "held out"
LEFT_OUT = "held out of training"


def is_held_out(individual: str | None, *, source: str, share: float) -> bool:
    """Return whether an individual is held out: by name alone, the same in all tasks of a source.

    What is held out at one share is also held out at every larger one, whatever the seed and the order.

    Args:
        individual: Name of the individual or question; None, a sequence without one, is never held out.
        source: Name of the source, within which individuals have their names.
        share: Share of individuals to hold out, in [0, 1].
    """
    if individual is None:
        return False
    digest = hashlib.sha256(json.dumps([PURPOSE, source, individual]).encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def training_sequences(
    task: Task, *, data_dir: Path, seed: int, dropped: Counter[str], share: float, paper: bool = False
) -> Iterator[SampleSequence]:
    """Yield the sequences of a task to train on, and count the others; all of a synthetic task's.

    Arguments as for `built_sequences` and `is_held_out`.
    """
    for each in built_sequences(task, data_dir=data_dir, seed=seed, dropped=dropped, paper=paper):
        if is_held_out(each.individual, source=each.source, share=share):
            dropped[LEFT_OUT] += 1
        else:
            yield each


def held_out_sequences(
    task: Task, *, data_dir: Path, seed: int, dropped: Counter[str], share: float, paper: bool = False
) -> Iterator[SampleSequence]:
    """Yield the sequences that `training_sequences` leaves out; of a synthetic task, other draws than its."""
    if task.synthetic:
        yield from task.sequences(data_dir, seed=task_seed(seed, task=PURPOSE), dropped=dropped)
        return
    for each in built_sequences(task, data_dir=data_dir, seed=seed, dropped=dropped, paper=paper):
        if is_held_out(each.individual, source=each.source, share=share):
            yield each
        else:
            dropped[f"not {LEFT_OUT}"] += 1
