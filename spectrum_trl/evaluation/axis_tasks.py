"""Tasks of two axes, declared in folders beside: questions with known shares, prompts with known answers."""

import math
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.evaluation import distributional_tasks as distributional
from spectrum_trl.evaluation import diversity_tasks as diversity
from spectrum_trl.prompts.messages import check
from spectrum_trl.strict.schema import parsed
from spectrum_trl.strict.yaml import read_mapping
from spectrum_trl.suite.catalogue import tasks_of
from spectrum_trl.suite.fetching.status import ensure_sources
from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import missing_files

# A template would read it as the end or the beginning of a turn.
CONTROL = "text holds a control token"
Valid = Callable[[str], bool]
PROMPTS = Path(diversity.__file__).with_name("prompts.yaml")


class Missing(NamedTuple):
    """Paths or patterns of missing files, and how to get them."""

    files: str
    how: str


@dataclass(frozen=True, kw_only=True)
class NeedsData:
    """An evaluation task with the source of its questions or answers.

    Attributes:
        name: Name of the task, for example ``nytimes``.
        source: Source of the data, or of the rule.
        files: Glob patterns below the data folder that must each match; empty if no data are read.
    """

    name: str
    source: Source
    files: tuple[str, ...] = ()

    def absent(self, data_dir: Path) -> Missing | None:
        """Fetch missing files that need no consent into ``data_dir``; return the data still missing."""
        if not self.missing(data_dir):
            return None
        failed = ensure_sources([self.source], data_dir=data_dir)
        if not (patterns := self.missing(data_dir)):
            return None
        how = f"Get {self.source.title} ({self.source.homepage}), and set SPECTRUM_DATA"
        return Missing(", ".join(patterns), "; ".join(failed) or how)

    def missing(self, data_dir: Path | None) -> list[str]:
        """Return the patterns of ``files`` without a match below ``data_dir``; all if there is no folder."""
        return missing_files(self.files, data_dir=data_dir)


class Item(NamedTuple):
    """One question.

    Attributes:
        description: Description of what is sampled, or None.
        input: The question.
        candidates: The possible answers.
        target: Their true shares, in the same order; they sum to 1.
        group: The group that answered, if a task has groups.
        cluster: Name shared by items that are not independent, such as one question for several groups.
        n_answers: Number of answers that the shares were counted from; None if they are exact, or it is
            unknown.
    """

    description: str | None
    input: str
    candidates: tuple[str, ...]
    target: tuple[float, ...]
    group: str | None
    cluster: str
    n_answers: int | None = None


@dataclass(frozen=True, kw_only=True)
class DistributionalTask(NeedsData):
    """One dataset of questions.

    Attributes:
        build: Yields the items from the folder of the real data, with ``seed`` as the only source of
            randomness; counts every row left out in ``dropped``, by reason.
        summary: The question in a few words.
        ordered: Whether the candidates are steps of a scale, in order.
    """

    build: Callable[..., Iterator[Item]]
    summary: str = ""
    ordered: bool = False

    def items(self, data_dir: Path, *, seed: int, dropped: Counter[str]) -> list[Item]:
        """Return all items, without those whose texts contain a control token of a model family.

        Args:
            data_dir: Folder of the real data.
            seed: Seed of randomly generated items.
            dropped: Updated with the reasons and counts of rows left out.
        """
        every = []
        for item in self.build(data_dir, seed=seed, dropped=dropped):
            texts = (item.description or "", item.input, *item.candidates)
            if any(check([{"role": "input", "content": text}], trained=False) for text in texts):
                dropped[CONTROL] += 1
            else:
                every.append(item)
        return every

    def choose(self, items: Sequence[Item], *, seed: int, most: int) -> list[Item]:
        """Return a random choice of at most ``most`` items, in their own order."""
        if len(items) <= most:
            return [*items]
        rng = stream(seed, task=self.name, purpose="items")
        picked = rng.choice(len(items), size=most, replace=False)
        return [items[n] for n in sorted(picked.tolist())]


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
    lines = (f"{letter}. {label}" for letter, label in zip(letters, labels, strict=True))
    return "\n".join(("Answers:", *lines))


def numbered(labels: Sequence[str], *, first: int) -> str:
    """Return the heading and the lines of options numbered from ``first``."""
    lines = (f"{number}: {label}" for number, label in enumerate(labels, start=first))
    return "\n".join(("Answers:", *lines))


@dataclass(frozen=True, kw_only=True)
class DiversityTask(NeedsData):
    """One kind of text to generate.

    Attributes:
        description: Description of the texts to generate.
        examples: Samples shown in the prompt, all valid.
        max_new_tokens: Maximum length of an answer in tokens.
        canonical: Maps equivalent answers to one form, for example without surrounding white space.
        universe: All valid answers in canonical form, or None if they are infinitely many or unknown.
        rule: Checks an answer in canonical form; None if a list decides.
        read: Reads the list of valid answers from the folder of the real data; None for the universe.
    """

    description: str
    examples: tuple[str, ...]
    max_new_tokens: int
    canonical: Callable[[str], str] = str.strip
    universe: tuple[str, ...] | None = None
    rule: Valid | None = None
    read: Callable[[Path], frozenset[str]] | None = None

    def validator(self, data_dir: Path) -> Valid:
        """Return the check of an answer in canonical form, given the folder of the real data."""
        if self.rule:
            return self.rule
        return frozenset(self.read(data_dir) if self.read else self.universe or ()).__contains__


class Prompt(BaseModel, frozen=True, extra="forbid"):
    """A row of ``prompts.yaml``: attributes of `DiversityTask`."""

    description: str
    examples: tuple[str, ...]
    max_new_tokens: int


@cache
def read_prompts(file: Path) -> dict[str, Prompt]:
    """Read a file of prompts by name.

    Raises:
        UserError: With every wrong key and value of a row.
    """
    return {name: parsed(Prompt, row, name, before=f"{file}: ") for name, row in read_mapping(file).items()}


def prompted(name: str, **answers: Any) -> DiversityTask:
    """Return the task of a row of ``prompts.yaml``, given what is valid: attributes of `DiversityTask`.

    Raises:
        UserError: If there is no such row.
    """
    rows = read_prompts(PROMPTS)
    if name not in rows:
        raise UserError(f"{PROMPTS} has no row {name!r}.{nearest(name, rows)}")
    return DiversityTask(name=name, **dict(rows[name]), **answers)


@cache
def distributional_tasks() -> dict[str, DistributionalTask]:
    """Return the tasks of all modules of ``distributional_tasks/`` by name, in alphabetical order."""
    return tasks_of((distributional,))


@cache
def diversity_tasks() -> dict[str, DiversityTask]:
    """Return the tasks of all modules of ``diversity_tasks/`` by name, in alphabetical order."""
    return tasks_of((diversity,))
