"""Multiple-choice questions, as in the knowledge benchmarks.

A question is shown with one line per choice; the output is the label of the correct one.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

from spectrum_trl.suite.reading.tables import table_rows
from spectrum_trl.suite.sequences.builders import Row, Sequences, pooled, text


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


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The build of a task of such questions, pooled.

    Attributes:
        items: Yields the questions, given the data folder, the seed and the counter of rows left out.
        descriptions: Wordings, one chosen for each sequence.
        length: Questions per sequence.
        draws: None to ask each question once; else the number of sequences, each the first ``length``
            questions of a new shuffle.
    """

    items: Callable[..., Iterable[Item]]
    descriptions: tuple[str, ...]
    length: int
    draws: int | None = None

    def __call__(self, data_dir: Path, *, seed: int, dropped: Counter[str]) -> Sequences:
        """Yield the sequences, as `Build`."""
        yield from pooled(
            asked(self.items(data_dir, seed=seed, dropped=dropped), dropped=dropped),
            input="question",
            output="answer",
            descriptions=self.descriptions,
            length=self.length,
            draws=self.draws,
            seed=seed,
            dropped=dropped,
        )


def table_items(
    data_dir: Path,
    *,
    seed: int,
    dropped: Counter[str],
    files: str,
    columns: Sequence[str],
    item: Callable[[Row], Item],
) -> Iterator[Item]:
    """Yield the questions of the tables that match a glob below the data folder; the seed is not used."""
    for path in sorted(data_dir.glob(files)) or [data_dir / files]:
        for row in table_rows(path, columns, dropped=dropped):
            yield item(row)


def asked(items: Iterable[Item], *, dropped: Counter[str]) -> Iterator[Row]:
    """Yield question and answer as shown; incomplete questions are counted in ``dropped``."""
    for item in items:
        question, answer = text(item.question), text(item.answer)
        choices = [_one_line(choice) for choice in item.choices]
        labels = [text(label) for label in item.labels or ascii_uppercase[: len(choices)]]
        if not question:
            dropped["question without text"] += 1
        elif len(choices) < 2 or not all(choices):
            dropped["choice without text, or fewer than two"] += 1
        elif len(labels) != len(choices) or len(set(labels)) < len(labels) or not all(labels):
            dropped["not one label for each choice"] += 1
        elif answer not in labels:
            dropped["answer that is none of the choices"] += 1
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
