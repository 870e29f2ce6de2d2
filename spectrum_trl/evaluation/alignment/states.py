"""The 50 states of the USA, asked for uniformly at random: one question, whose answer is exact."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import us

from spectrum_trl.evaluation.alignment.task import AlignmentTask, Item

STATES = tuple(sorted(state.name for state in us.states.STATES))


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the question; nothing is read or drawn."""
    n = len(STATES)
    question = "Pick one of the 50 states of the USA, each with the same probability, and write its name."
    yield Item(None, question, STATES, (1 / n,) * n, None, "states")


TASK = AlignmentTask(name="states", source="synthetic", licence="none needed", build=items)
