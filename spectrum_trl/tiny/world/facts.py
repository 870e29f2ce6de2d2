"""Plain statements about listed contents: the second pretraining corpus of the tiny base model.

They have right answers, so a small model quickly learns which label a number belongs to, and which labels are
in a list.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spectrum_trl.suite.sequences.builders import description_message
from spectrum_trl.suite.task import Message, Task
from spectrum_trl.tiny.world import words, worlds
from spectrum_trl.tiny.world.base_corpus import SEQUENCES


def _statement(rng: np.random.Generator, contents: dict[str, int]) -> str:
    """Return a randomly chosen statement about the contents."""
    labels = list(contents)
    label = labels[int(rng.integers(len(labels)))]
    ranked = sorted(labels, key=lambda each: -contents[each])
    pieces = [each for each, n in contents.items() for _ in range(n)]
    statements = (
        f"How many {label}? {contents[label]}.",
        f"{label} is {contents[label]} of {len(pieces)}.",
        "By number: " + ", ".join(f"{each} {contents[each]}" for each in ranked) + ".",
        f"All of them: {' '.join(pieces)}.",
        f"Mixed: {' '.join(rng.permutation(pieces))}.",
        f"The kinds: {words.listed(labels, last='and')}.",
        f"Not {label}: {words.listed([each for each in labels if each != label], last='or')}.",
    )
    return statements[int(rng.integers(len(statements)))]


def _facts(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[tuple[str, list[Message]]]:
    rng = np.random.default_rng([seed, 3])
    for index in range(SEQUENCES):
        contents = worlds.contents(rng, labels=words.LABELS)
        sentence = words.BASE_COUNT_SENTENCES[int(rng.integers(len(words.BASE_COUNT_SENTENCES)))]
        listed = words.listed([f"{n} {label}" for label, n in contents.items()], last="and")
        statements = [_statement(rng, contents) for _ in range(int(rng.integers(1, 5)))]
        before = sentence.format(listed).split(". ")[0] + "."
        yield (
            str(index),
            [description_message(f"{before} "), {"role": "output", "content": " ".join(statements)}],
        )


TASKS = (Task(name="tiny_facts", source=worlds.SOURCE, kind="generation", split="train", build=_facts),)
