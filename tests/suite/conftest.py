from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from spectrum_trl.suite.task import SampleSequence, Task

Built = tuple[list[SampleSequence], Counter[str]]


@pytest.fixture(scope="session")
def built(suite_data: Path) -> Callable[..., Built]:
    """Build a task from the real data, or skip the test naming the files that are not there."""

    def build(task: Task, *, seed: int = 0) -> Built:
        if missing := task.missing(suite_data):
            pytest.skip(f"{task.name} needs {', '.join(missing)} in {suite_data}")
        dropped: Counter[str] = Counter()
        return list(task.sequences(suite_data, seed=seed, dropped=dropped)), dropped

    return build
