"""Tasks that ask for several things of the same rows: a text, its title, its score."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from spectrum_trl.suite.builders import Field, Row, Sequences, pooled
from spectrum_trl.suite.lengths import sequence_length


class Part(NamedTuple):
    """One of the things asked for.

    Attributes:
        name: Goes before the numbers of its sequences.
        output: What is asked for.
        descriptions: Wordings, of which each sequence has one.
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
    """Shuffle all rows anew for each part and cut them into sequences.

    Args:
        rows: Of the source.
        task: Name of the task.
        parts: What is asked for.
        mean: Of the drawn numbers of outputs in a sequence.
        seed: The only source of randomness.
        dropped: Receives the reasons of rows left out, of each part.
        most: Sequences of each part to keep, the first ones; None for all.
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
