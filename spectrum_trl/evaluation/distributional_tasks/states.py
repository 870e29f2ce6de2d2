"""The 50 states of the USA, to be named uniformly at random: one question with an exact target."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import us

from spectrum_trl.evaluation.distributional_tasks.distributional_task import DistributionalTask, Item
from spectrum_trl.suite.source import KIT

STATES = tuple(sorted(state.name for state in us.states.STATES))


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the question; nothing is read or drawn."""
    n = len(STATES)
    question = "Pick one of the 50 states of the USA, each with the same probability, and write its name."
    yield Item(None, question, STATES, (1 / n,) * n, None, "states")


TASKS = (
    DistributionalTask(
        name="states",
        summary="the 50 states of the USA, uniformly",
        source=KIT,
        build=items,
    ),
)
