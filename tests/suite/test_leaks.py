"""Nothing of a held-out task stands in a training task: neither what is asked nor what is answered."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.task import Task

# Shorter texts, such as labels and numbers, occur everywhere.
LONG = 40
CHARACTERS_READ = 3_000_000


def long_texts(task: Task, data_dir: Path) -> Iterator[bytes]:
    read = 0
    for sequence in task.sequences(data_dir, seed=0):
        for message in sequence.messages[1:]:
            content = " ".join(message["content"].lower().split())
            read += len(content)
            if len(content) >= LONG:
                yield hashlib.blake2b(content.encode(), digest_size=12).digest()
        if read > CHARACTERS_READ:
            return


@pytest.mark.slow
def test_no_long_text_of_a_held_out_task_is_trained_on(suite_data: Path) -> None:
    there = [task for task in suite_tasks().values() if not task.missing(suite_data)]
    held_out = {task.name: set(long_texts(task, suite_data)) for task in there if task.split == "test"}
    # The real data beside the clone hold at least these.
    assert {"globaloqa", "chemistry_esol", "chemistry_oxidative"} <= set(held_out)
    assert all(held_out[name] for name in ("globaloqa", "chemistry_oxidative"))
    trained = {digest for task in there if task.split == "train" for digest in long_texts(task, suite_data)}
    assert len(trained) > 10_000
    assert not {name for name, texts in held_out.items() if texts & trained}


def test_no_source_feeds_both_splits() -> None:
    splits: dict[str, set[str]] = {}
    for task in suite_tasks().values():
        if not task.synthetic:
            splits.setdefault(task.source.name, set()).add(task.split)
    assert not {name for name, found in splits.items() if len(found) > 1}
