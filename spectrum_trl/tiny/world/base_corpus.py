"""Corpus of the tiny base model: records as documents, and questions with the most likely answer.

The records teach reading (lists, counts, numbers). The answers teach what ordinary post-training
teaches: asked once or many times, say the most likely thing.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spectrum_trl.suite.builders import iid
from spectrum_trl.suite.task import Message, Task
from spectrum_trl.tiny.world import words, worlds

SEQUENCES = 400_000
# Share of answers that are the most likely one; the rest are honest draws.
MODE_SHARE = 0.9


def _world(rng: np.random.Generator) -> worlds.World:
    """Draw a world in any wording, never with held-out counts or ranges."""
    labels = words.LABELS
    sentences: tuple[str, ...]
    kind = rng.integers(10)
    if kind < 3:
        sentences = words.COUNT_SENTENCES + words.URN_SENTENCES
        return worlds.counts(rng, labels=labels, sentences=sentences, for_evaluation=False)
    if kind < 6:
        k = 2 if rng.random() < 0.4 else int(rng.integers(3, 6))
        sentences = words.LABEL_SENTENCES + (words.COIN_SENTENCES if k == 2 else words.DIE_SENTENCES)
        return worlds.unknown_labels(rng, labels=labels, sentences=sentences, k=k)
    if kind < 9:
        sentences = words.RANGE_SENTENCES + words.HELD_OUT_RANGE_SENTENCES
        return worlds.number_range(rng, sentences=sentences, for_evaluation=False, whole_tens=False)
    return worlds.near_number(rng, sentences=words.NEAR_SENTENCES + words.HELD_OUT_NEAR_SENTENCES)


def _records(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([seed, 1])
    for index in range(SEQUENCES):
        world = _world(rng)
        record = " ".join(world.draw(rng, int(rng.integers(20, 61))))
        yield str(index), iid([record], description=f"Record. {world.description}")


def _answers(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([seed, 2])
    for index in range(SEQUENCES):
        world = _world(rng)
        seen: list[str] = []
        description = world.description
        if rng.random() < 0.5:
            seen = world.draw(rng, int(rng.integers(1, 21)))
            description += f" Seen: {' '.join(seen)}."
        distribution = world.predictive(seen)
        likeliest = max(distribution.support or (), key=distribution.pmf)
        n = int(rng.integers(1, 7))
        answers = np.where(rng.random(n) < MODE_SHARE, likeliest, world.draw(rng, n))
        yield str(index), iid(answers.tolist(), description=description)


TASKS = tuple(
    Task(name=name, source="spectrum-trl", kind="generation", split="train", build=build)
    for name, build in {"tiny_records": _records, "tiny_answers": _answers}.items()
)
