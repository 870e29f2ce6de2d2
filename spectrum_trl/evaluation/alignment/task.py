"""A question with candidates and their true shares, and a task that yields such questions."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Item(NamedTuple):
    """One question.

    Attributes:
        description: What is sampled, or None.
        input: The question.
        candidates: All answers that count.
        target: Their true shares, in the same order; they sum to 1.
        group: Whose answers they are, where a task has groups.
        cluster: Name of what is not independent, for example the question that several groups answered.
    """

    description: str | None
    input: str
    candidates: tuple[str, ...]
    target: tuple[float, ...]
    group: str | None
    cluster: str


@dataclass(frozen=True, kw_only=True)
class AlignmentTask:
    """One data set of questions.

    Attributes:
        name: For example ``nytimes``.
        source: Where the data are from.
        build: Yields the items from the folder of the real data, ``seed`` the only source of randomness;
            counts in ``dropped`` every row left out, by reason.
        files: Glob patterns below the data folder that must each match; empty where nothing is read.
        licence: Of the data, or ``unstated``.
        url: Where to get the data.
    """

    name: str
    source: str
    build: Callable[..., Iterator[Item]]
    files: tuple[str, ...] = ()
    licence: str = "unstated"
    url: str = ""

    def missing(self, data_dir: Path) -> list[str]:
        """Return the patterns of ``files`` that match nothing below ``data_dir``."""
        return [pattern for pattern in self.files if next(data_dir.glob(pattern), None) is None]

    def items(self, data_dir: Path, *, seed: int, most: int, dropped: Counter[str]) -> list[Item]:
        """Return the items, a random choice of them if there are more than ``most``.

        Args:
            data_dir: Folder of the real data.
            seed: Of the choice, and of items that are drawn.
            most: Largest number of items.
            dropped: Receives the reasons of rows left out.
        """
        every = list(self.build(data_dir, seed=seed, dropped=dropped))
        if len(every) <= most:
            return every
        picked = np.random.default_rng(seed).choice(len(every), size=most, replace=False)
        return [every[n] for n in sorted(picked.tolist())]
