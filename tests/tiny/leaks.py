"""Search corpora and tuning sequences for what is evaluated: `make leaks` searches all of them."""

import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from spectrum_trl.known_tasks import tasks
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.tiny.evaluation_items import EvaluationItems
from spectrum_trl.tiny.world import words, worlds

RECIPES = ("tiny_pretraining", "tiny_base", "tiny_instruct", "demo")
# What is evaluated, and what settings are chosen on.
SENTENCES = sorted({sentence for held in words.HELD.values() for kind in held for sentence in kind})
# Counts stand before labels, which adjectives or a noun may go with, or behind them. In "Of 60 items, 10 are
# marked" and "population 60, successes in it 10, drawn 9" stand a total and parts of it, not kinds.
_COUNTED = r"[1-9][0-9]* (?!are\b)[a-z]+(?: (?!and\b|or\b)[a-z]+){0,2}"
_BEHIND = r"\b(?!it\b)[a-z]+:? [1-9][0-9]*"
_NEXT = r"(?:[,;] (?:and |or )?| and | or )"
_CONTENTS = re.compile(rf"{_COUNTED}(?:{_NEXT}{_COUNTED})+|{_BEHIND}(?:{_NEXT}{_BEHIND})+", re.IGNORECASE)
MOST_PIECES = 9
# Ranges lie within 10 to 99; 0 to 99 is where numbers near a value lie.
_RANGE = re.compile(
    r"(?:\b(?:from|between|numbers?) ([1-9][0-9])(?: up| down)?(?: to | and )|\b([1-9][0-9])[-–])"
    r"([1-9][0-9])\b",
    re.IGNORECASE,
)
# One kind's share: "red is 1 of 10", "Of 60 items, 10 are marked", 0.25, 25%.
_SHARE = re.compile(
    r" is ([0-9]+) of ([0-9]+)|Of ([0-9]+) items, ([0-9]+) are|\b(0\.[0-9]+)|\b([0-9]{1,2})(?:%| per cent)"
)


class Evaluated(NamedTuple):
    """What must not be found, besides all proportions and ranges that are kept out of training.

    Attributes:
        wording: A pattern that matches every evaluated sentence, whatever fills it.
        proportions: Counts of the urns that are measured, reduced and sorted.
        ranges: Lowest and highest numbers of those that are.
    """

    wording: re.Pattern[str]
    proportions: frozenset[tuple[int, ...]]
    ranges: frozenset[tuple[int, int]]


def reduced(counts: Iterable[int]) -> tuple[int, ...]:
    """Return counts with the same shares as small as they can be, in order: 4, 2 is 1, 2."""
    values = sorted(counts)
    divisor = math.gcd(*values)
    return tuple(value // divisor for value in values)


def evaluated(*items: EvaluationItems) -> Evaluated:
    """Collect what evaluations measure, from the texts of their descriptions."""
    pieces = ["[^.]+?".join(map(re.escape, sentence.split("{}"))) for sentence in SENTENCES]
    urns = [world.description for one in items for world in (*one.urns, *one.full_urns)]
    ranges = [world.description for one in items for world in one.ranges]
    return Evaluated(
        re.compile("|".join(pieces), re.IGNORECASE),
        frozenset(counts for text in urns for counts in contents(text)),
        frozenset(bounds for text in ranges for bounds in bounds_in(text)),
    )


def contents(text: str) -> Iterator[tuple[int, ...]]:
    """Yield the proportions of each list of counts in a text, if a container can have them."""
    for found in _CONTENTS.finditer(text):
        counts = reduced(int(number) for number in re.findall(r"[0-9]+", found.group()))
        if counts[-1] <= MOST_PIECES:
            yield counts


def bounds_in(text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges that a text names."""
    for found in _RANGE.finditer(text):
        low, high = sorted(int(number) for number in found.groups() if number)
        yield low, high


def shares_in(text: str) -> Iterator[tuple[int, ...]]:
    """Yield each share that a text names of one kind alone, as counts of that kind and of all others."""
    for found in _SHARE.finditer(text):
        part, total, whole, marked, decimal, percent = found.groups()
        share = (
            Fraction(decimal)
            if decimal
            else Fraction(int(percent or part or marked), int(total or whole or 100))
        )
        if 0 < share < 1 and share.denominator <= 2 * MOST_PIECES:
            yield reduced((share.numerator, share.denominator - share.numerator))


def leaks(texts: Iterable[str], known: Evaluated) -> Counter[str]:
    """Count the texts that hold an evaluated wording, proportion or range, by kind."""
    found = Counter[str]()
    for text in texts:
        found["wording"] += known.wording.search(" ".join(text.split())) is not None
        found["proportion"] += any(n in known.proportions or _kept(n) for n in contents(text))
        found["range"] += any(bounds in known.ranges or _kept(bounds) for bounds in bounds_in(text))
    return +found


def _kept(parameters: tuple[int, ...]) -> bool:
    return worlds.part_of(parameters) != "training"


def trained_texts(recipe: str, *, seed: int = 0, most: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield task and text of the sequences that a recipe trains on.

    Args:
        recipe: Its name.
        seed: Added to that of the recipe, as `make demo-seeds` does.
        most: At most so many sequences a task, or None for as many as the recipe takes.
    """
    data = read_recipe(recipe).data
    for name, options in data.tasks.items():
        n = options.max_sequences if most is None else min(most, options.max_sequences or most)
        for sequence in islice(tasks()[name].sequences(Path(), seed=data.mixture_seed + seed), n):
            yield name, "\n".join(message["content"] for message in sequence.messages)


def main() -> int:
    """Search all that the recipes of the embedded models and the demo train on."""
    from spectrum_trl.tiny.evaluation_items import evaluation_items

    known, searched, found = evaluated(*(evaluation_items(seed) for seed in range(3))), Counter[str](), 0
    alone = Counter[str]()
    for recipe, seed in [*((recipe, 0) for recipe in RECIPES), ("demo", 1), ("demo", 2)]:
        texts = trained_texts(recipe, seed=seed)
        for name, text in track(texts, console=Console(stderr=True), description=recipe):
            searched[f"{recipe}: {name}"] += 1
            alone[f"{recipe}: {name}"] += any(shares in known.proportions for shares in shares_in(text))
            for kind in leaks([text], known):
                found += 1
                print(f"{recipe}: {name}: {kind}: {text[:200]!r}")
    for name, n in searched.items():
        print(
            f"{name}: {n:,} sequences searched"
            + (f", {alone[name]:,} with such a share" if alone[name] else "")
        )
    print("(such a share: of one kind, where an urn of two kinds with it is evaluated; no leak of contents)")
    print(f"{found} leaks")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
