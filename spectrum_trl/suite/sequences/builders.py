"""The sequence shapes that most tasks share, so a source is little more than its facts.

A source reads rows (dictionaries) and assigns their columns to roles:

    rows = data.table("ratings.csv", ("user", "film", "stars"))
    yield from grouped(
        rows, data, group_by="user", input="film", output="stars", descriptions=DESCRIPTIONS
    )

- one individual: `grouped` by the person, ``input`` what they saw, ``output`` what they said;
- one question with many answers: `grouped` by the question, stated in the description, without ``input``;
- pooled rows: `grouped` by nothing, all rows shuffled and cut into sequences of a fixed or random length;
- several subtasks on the same rows: `pooled_parts`;
- draws from a known distribution: `iid`.

Every row becomes exactly one sample, or is counted in ``data.dropped`` with its reason.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from spectrum_trl.suite.randomness import sequence_length, stream
from spectrum_trl.suite.reading.values import as_json, clean, text
from spectrum_trl.suite.task import Data, GroupedId, Message, Row

Field = str | tuple[str, ...] | Mapping[str, str] | Callable[[Row], str]
Sequences = Iterator[tuple[str, list[Message]]]


def description_message(content: str) -> Message:
    """Return a description turn."""
    return {"role": "description", "content": content}


def pair(input: str, output: str) -> list[Message]:
    """Return an input turn and its output turn."""
    return [{"role": "input", "content": input}, {"role": "output", "content": output}]


def iid(outputs: Iterable[str], *, description: str) -> list[Message]:
    """Build a sequence of samples without inputs.

    Args:
        outputs: The samples, in the order drawn.
        description: Text of the description.

    Returns:
        One description and one output turn per sample.
    """
    samples: list[Message] = [{"role": "output", "content": text} for text in outputs]
    return [description_message(description), *samples]


def grouped(
    rows: Iterable[Row],
    data: Data,
    *,
    output: Field,
    descriptions: str | Sequence[str],
    group_by: str | Sequence[str] = (),
    name: str = "",
    input: Field | None = None,
    constants: Row | None = None,
    length: int | None = None,
    mean_length: float | None = None,
    permutations: int = 1,
    draws: int | None = None,
    at_least: int = 1,
) -> Sequences:
    """Build the sequences of each group: of one individual, of one question, or of all rows.

    A `Field` is a column's name, several columns or a mapping from JSON keys to columns (written as a JSON
    object; none may be empty), or a function of the row. Rows with an empty group, input or output are
    counted.

    Args:
        rows: The table, in any order; read once.
        data: Its seed, not negative: a group's sequences depend only on it, the group's name and the group's
            rows. Its counter receives the number of rows left out, by reason.
        output: The sample.
        descriptions: Templates of the description, one chosen for each sequence; ``{column}`` stands for the
            column's value in the group's first usable row, doubled braces for a brace.
        group_by: Column or columns naming the group; the sequence id is made from them. Without any, all rows
            are one group.
        name: Name of the group of all rows: enters the seed, so tasks on the same rows shuffle them
            differently, and precedes the sequence's number.
        input: What the sample is conditioned on, or None for outputs alone.
        constants: Columns to add to every row.
        length: Samples per sequence, at least 1; None keeps the group whole.
        mean_length: Instead of ``length``: mean of a random length, see `sequence_length`.
        permutations: How often the group's rows are shuffled, each time to be cut into sequences.
        draws: Instead of cutting, the number of sequences, each the first ``length`` rows of a new shuffle:
            rows can repeat across sequences, but not within one.
        at_least: Minimum samples of a group; those of smaller groups are counted and left out.

    Yields:
        Sequence id and messages, groups in order of their first rows.
    """
    columns = (group_by,) if isinstance(group_by, str) else tuple(group_by)
    groups: dict[tuple[str, ...], tuple[Row, list[list[Message]]]] = {}
    for row in ({**constants, **row} for row in rows) if constants else rows:
        key = tuple(text(row[column]) for column in columns)
        if not all(key):
            data.dropped["empty group"] += 1
        elif turns := _sample(row, input=input, output=output, dropped=data.dropped):
            groups.setdefault(key, (row, []))[1].append(turns)
    for key, (first, samples) in groups.items():
        if columns and len(samples) < at_least:
            data.dropped[f"of a group with fewer than {at_least} samples"] += len(samples)
            continue
        group = group_name(key) if columns else name
        found = _sequences(
            group,
            samples,
            descriptions=_filled(descriptions, first if columns else {}),
            length=length,
            mean_length=mean_length,
            permutations=permutations,
            draws=draws,
            seed=data.seed,
        )
        for sequence_id, messages in found:
            yield GroupedId(sequence_id, group=group) if columns else sequence_id, messages


class Part(NamedTuple):
    """One of several subtasks on the same rows, for example a text, its title or its score.

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
    data: Data,
    *,
    task: str,
    parts: Iterable[Part],
    mean_length: float,
    most: int | None = None,
) -> Sequences:
    """Shuffle all rows separately for each subtask and cut them into sequences.

    Args:
        rows: Rows of the source.
        data: See `grouped`; rows left out are counted for each subtask.
        task: Name of the task.
        parts: The subtasks.
        mean_length: Mean number of outputs per sequence, at least 2.
        most: Number of sequences to keep per subtask, from the first; None for all.
    """
    for part in parts:
        roles = part._asdict() | {"name": f"{task}/{part.name}"}
        yield from islice(grouped(rows, data, mean_length=mean_length, **roles), most)


def group_name(parts: Sequence[str]) -> str:
    """Join the values of a group's columns into one name, distinct for distinct values."""
    escaped = (part.replace("%", "%25").replace("/", "%2F") for part in parts)
    return "/".join(escaped) if len(parts) > 1 else parts[0]


def _filled(descriptions: str | Sequence[str], values: Row) -> list[str]:
    shown = {
        # White space around a text may be intended: it is placed within a sentence.
        column: clean(value) if isinstance(value, str) else text(value)
        for column, value in values.items()
    }
    return [
        template.format_map(shown)
        for template in ([descriptions] if isinstance(descriptions, str) else descriptions)
    ]


def _rendered(row: Row, field: Field) -> str:
    if isinstance(field, str):
        return text(row[field])
    if callable(field):
        return text(field(row))
    named = zip(field, field, strict=True) if isinstance(field, tuple) else field.items()
    values = {key: row[column] for key, column in named}
    return text(as_json(values)) if all(text(value) for value in values.values()) else ""


def _sample(row: Row, *, input: Field | None, output: Field, dropped: Counter[str]) -> list[Message]:
    sample = _rendered(row, output)
    if not sample:
        dropped["empty output"] += 1
        return []
    if input is None:
        return [{"role": "output", "content": sample}]
    condition = _rendered(row, input)
    if not condition:
        dropped["empty input"] += 1
        return []
    return pair(condition, sample)


def _sequences(
    name: str,
    samples: Sequence[list[Message]],
    *,
    descriptions: Sequence[str],
    length: int | None,
    mean_length: float | None,
    permutations: int,
    draws: int | None,
    seed: int,
) -> Sequences:
    # Separate streams, so the order depends neither on other groups nor on lengths and descriptions.
    orders, lengths, choices = (
        stream(seed, task="", purpose=purpose, id=name) for purpose in ("order", "length", "description")
    )
    number = 0
    for _ in range(permutations if draws is None else draws):
        order = orders.permutation(len(samples))
        parts = _parts(len(samples), length=length, mean=mean_length, rng=lengths)
        for part in parts if draws is None else islice(parts, 1):
            messages = [description_message(descriptions[int(choices.integers(len(descriptions)))])]
            for index in order[part]:
                messages.extend(samples[index])
            whole = name and (length, mean_length, permutations, draws) == (None, None, 1, None)
            yield name if whole else f"{name}/{number}" if name else str(number), messages
            number += 1


def _parts(
    n_samples: int, *, length: int | None, mean: float | None, rng: np.random.Generator
) -> Iterator[slice]:
    start = 0
    while start < n_samples:
        size = sequence_length(rng, mean=mean) if mean else n_samples if length is None else length
        if size < 1:
            raise ValueError(f"a sequence of length {size} holds no sample")
        yield slice(start, start + size)
        start += size
