"""Multiple-choice questions, as in the knowledge benchmarks.

A question is shown with one line per choice; the output is the label of the correct one.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Task, matches


class Item(NamedTuple):
    """One question.

    Attributes:
        question: The question, shown above the choices.
        choices: Their texts, in the order shown.
        answer: Label of the correct one.
        labels: One per choice; empty for A, B, C, …
    """

    question: Any
    choices: Sequence[Any]
    answer: str
    labels: Sequence[Any] = ()


def choice_task(
    task: str,
    /,
    *,
    source: Source,
    summary: str,
    file: str,
    columns: Sequence[str],
    item: Callable[[Row], Item],
    **roles: Any,
) -> Task:
    """Return a task of the questions in a table, pooled and held out from training.

    ``file`` is a path or glob below the data folder, ``columns`` are those to read, ``item`` converts a row;
    other arguments as for `declared_task`.
    """

    def rows(data: Data) -> Iterator[Row]:
        for path in matches(file, data_dir=data.folder) or [data.folder / file]:
            yield from asked(map(item, data.table(str(path), columns)), data)

    return declared_task(
        task,
        source=source,
        kind="knowledge",
        summary=summary,
        split="test",
        files=(file,),
        rows=rows,
        input="question",
        output="answer",
        **roles,
    )


def asked(items: Iterable[Item], data: Data) -> Iterator[Row]:
    """Yield question and answer as shown; incomplete questions are counted in ``data.dropped``."""
    for item in items:
        question, answer = text(item.question), text(item.answer)
        choices = [_one_line(choice) for choice in item.choices]
        labels = [text(label) for label in item.labels or ascii_uppercase[: len(choices)]]
        if not question:
            data.dropped["question without text"] += 1
        elif len(choices) < 2 or not all(choices):
            data.dropped["choice without text, or fewer than two"] += 1
        elif len(labels) != len(choices) or len(set(labels)) < len(labels) or not all(labels):
            data.dropped["not one label for each choice"] += 1
        elif answer not in labels:
            data.dropped["answer that is none of the choices"] += 1
        else:
            lines = (f"{label}. {choice}" for label, choice in zip(labels, choices, strict=True))
            yield {"question": "\n".join((question, *lines)), "answer": answer}


def letter(place: Any) -> str:
    """Return the letter of the choice at an index from 0, or an empty string for an invalid index."""
    digits = text(place)
    known = digits.isascii() and digits.isdigit() and int(digits) < len(ascii_uppercase)
    return ascii_uppercase[int(digits)] if known else ""


def _one_line(choice: Any) -> str:
    return re.sub(r"\s*\n\s*", " ", text(choice))
