"""A question with candidates and their true shares, and a task that yields such questions."""

import math
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from spectrum_trl.evaluation.required_data import NeedsData
from spectrum_trl.prompts.messages import check
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.task import Message

# A template would read it as the end or the beginning of a turn.
CONTROL = "text holds a control token"


class Item(NamedTuple):
    """One question.

    Attributes:
        description: Description of what is sampled, or None.
        input: The question.
        candidates: The possible answers.
        target: Their true shares, in the same order; they sum to 1.
        group: The group that answered, if a task has groups.
        cluster: Name shared by items that are not independent, such as one question for several groups.
    """

    description: str | None
    input: str
    candidates: tuple[str, ...]
    target: tuple[float, ...]
    group: str | None
    cluster: str


@dataclass(frozen=True, kw_only=True)
class DistributionalTask(NeedsData):
    """One dataset of questions.

    Attributes:
        build: Yields the items from the folder of the real data, with ``seed`` as the only source of
            randomness; counts every row left out in ``dropped``, by reason.
        summary: The question in a few words.
    """

    build: Callable[..., Iterator[Item]]
    summary: str = ""

    def items(self, data_dir: Path, *, seed: int, most: int, dropped: Counter[str]) -> list[Item]:
        """Return the items in their own order, a random choice of them if there are more than ``most``.

        Items whose texts contain a control token of a model family are left out and counted.

        Args:
            data_dir: Folder of the real data.
            seed: Seed of the choice, and of randomly generated items.
            most: Maximum number of items.
            dropped: Updated with the reasons and counts of rows left out.
        """
        every = []
        for item in self.build(data_dir, seed=seed, dropped=dropped):
            if _is_text(item):
                every.append(item)
            else:
                dropped[CONTROL] += 1
        if len(every) <= most:
            return every
        rng = stream(seed, task=self.name, purpose="items")
        picked = rng.choice(len(every), size=most, replace=False)
        return [every[n] for n in sorted(picked.tolist())]


def shares(counts: Sequence[float]) -> tuple[float, ...]:
    """Divide counts, or shares that do not sum to exactly 1, by their sum.

    Args:
        counts: Non-negative, not all 0.
    """
    total = math.fsum(counts)
    return tuple(count / total for count in counts)


def lettered(labels: Sequence[str]) -> str:
    """Return the heading and the lines of options named A, B, C, …; at most 26."""
    letters = string.ascii_uppercase[: len(labels)]
    return _listed((f"{letter}. {label}" for letter, label in zip(letters, labels, strict=True)))


def numbered(labels: Sequence[str], *, first: int) -> str:
    """Return the heading and the lines of options numbered from ``first``."""
    return _listed(f"{number}: {label}" for number, label in enumerate(labels, start=first))


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(("Answers:", *lines))


def _is_text(item: Item) -> bool:
    messages: list[Message] = [
        {"role": "input", "content": text} for text in (item.description or "", item.input, *item.candidates)
    ]
    return not any(check([message], trained=False) for message in messages)
