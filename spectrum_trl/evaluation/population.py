"""The answers of other people than those evaluated: a baseline that ignores whose answers are predicted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spectrum_trl.suite.building.cache import built_sequences
from spectrum_trl.suite.building.held_out import training_sequences
from spectrum_trl.suite.task import Message, Task


class Population(NamedTuple):
    """Answers of a task's individuals, counted.

    Attributes:
        answers: Of all of them; empty if there is no such population.
        own: Sequence id to the answers among them that its own individual gave.
        said: Who they are, or why there is nobody.
    """

    answers: Counter[str]
    own: dict[str, Counter[str]]
    said: str

    def others(self, sequence_id: str) -> Counter[str]:
        """Return the answers of everyone but the individual of a sequence."""
        return self.answers - self.own.get(sequence_id, Counter())


def population(
    task: Task, rows: Sequence[dict[str, Any]], *, folder: Path, seed: int, held_out_share: float | None
) -> Population:
    """Return the answers of the individuals whom training keeps, or of the evaluated ones.

    Args:
        task: The task that is evaluated.
        rows: Its evaluated sequences, each with ``id`` and ``messages``.
        folder: Folder of the real data.
        seed: Seed of the data.
        held_out_share: Share of individuals that training holds out; None if anyone may be evaluated.
    """
    if task.synthetic:
        return Population(Counter(), {}, "none: the task is synthetic")
    if held_out_share is not None:
        kept = training_sequences(task, data_dir=folder, seed=seed, dropped=Counter(), share=held_out_share)
        answers = Counter(output for one in kept for output in outputs_of(one.messages))
        return Population(answers, {}, "individuals that are not held out of training")
    built = built_sequences(task, data_dir=folder, seed=seed, dropped=Counter())
    # Pooled rows have no individual: their sequences stand for it.
    names = {one.sequence_id: one.individual or one.sequence_id for one in built}
    answers_of: dict[str, Counter[str]] = {}
    for row in rows:
        answers_of.setdefault(names[row["id"]], Counter()).update(outputs_of(row["messages"]))
    if len(answers_of) < 2:
        return Population(Counter(), {}, "none: a single individual is evaluated")
    own = {row["id"]: answers_of[names[row["id"]]] for row in rows}
    return Population(sum(answers_of.values(), Counter()), own, "other evaluated individuals")


def outputs_of(messages: Sequence[Message]) -> list[str]:
    """Return the outputs without leading white space, as they are evaluated."""
    return [message["content"].lstrip() for message in messages if message["role"] == "output"]
