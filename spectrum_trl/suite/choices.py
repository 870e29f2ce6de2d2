"""Questions with lettered choices, of which one is right: what the knowledge benchmarks share.

A question is shown with one line per choice, the output is the label of the right one.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

from spectrum_trl.suite.builders import Row, Sequences, pooled, text
from spectrum_trl.suite.streams import table_rows


class Item(NamedTuple):
    """One question.

    Attributes:
        question: What stands above the choices.
        choices: Their texts, in the order shown.
        answer: Label of the right one.
        labels: One for each choice; empty for A, B, C, …
    """

    question: Any
    choices: Sequence[Any]
    answer: str
    labels: Sequence[Any] = ()


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The build of a task of such questions, all of them mixed.

    Attributes:
        items: Yields the questions: a function of the data folder, the seed and the counter of rows left out.
        descriptions: What is asked, one chosen for each sequence.
        length: Questions per sequence.
        draws: None to ask each question once; else the number of sequences, each of the first questions of
            a shuffle of its own.
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
    """Yield the questions of the tables that a glob below the data folder matches; the seed plays no part."""
    for path in sorted(data_dir.glob(files)) or [data_dir / files]:
        for row in table_rows(path, columns, dropped=dropped):
            yield item(row)


def asked(items: Iterable[Item], *, dropped: Counter[str]) -> Iterator[Row]:
    """Yield question and answer as they are shown; questions that lack a part are counted in ``dropped``."""
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
    """Return the letter of the choice at a place, counted from 0, or an empty text for what is none."""
    digits = text(place)
    known = digits.isascii() and digits.isdigit() and int(digits) < len(ascii_uppercase)
    return ascii_uppercase[int(digits)] if known else ""


def _one_line(choice: Any) -> str:
    return re.sub(r"\s*\n\s*", " ", text(choice))
