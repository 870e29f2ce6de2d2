"""Tasks with several subtasks on the same rows, for example a text, its title and its score."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from spectrum_trl.suite.sequences.builders import Field, Row, Sequences, pooled
from spectrum_trl.suite.sequences.lengths import sequence_length


class Part(NamedTuple):
    """One subtask.

    Attributes:
        name: Precedes the numbers in its sequence ids.
        output: The sample.
        descriptions: Wordings, one chosen for each sequence.
        input: What it is conditioned on, or None.
    """

    name: str
    output: Field
    descriptions: tuple[str, ...]
    input: Field | None = None


def pooled_parts(
    rows: Sequence[Row],
    *,
    task: str,
    parts: Iterable[Part],
    mean: int,
    seed: int,
    dropped: Counter[str],
    most: int | None = None,
) -> Sequences:
    """Shuffle all rows separately for each subtask and cut them into sequences.

    Args:
        rows: Rows of the source.
        task: Name of the task.
        parts: The subtasks.
        mean: Mean number of outputs per sequence, at least 2.
        seed: The only source of randomness.
        dropped: Receives the number of rows left out, by reason, for each subtask.
        most: Number of sequences to keep per subtask, from the first; None for all.
    """
    for part in parts:
        found = pooled(
            rows,
            name=f"{task}/{part.name}",
            input=part.input,
            output=part.output,
            descriptions=part.descriptions,
            length=partial(sequence_length, mean=mean),
            seed=seed,
            dropped=dropped,
        )
        yield from islice(found, most)
