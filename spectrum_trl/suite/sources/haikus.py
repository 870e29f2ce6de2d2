"""Haiku and other poems of three lines (docmarionum1/haikurnn, from several collections; licence unstated).

One task with three parts over all poems: by the syllables of the lines, by the syllables and a word to
include (both from one collection a sequence), and poems alone (all collections mixed, each poem once).

Against the research code: it stops each part after 200 sequences, which it fills collection by collection, so
that later collections may never appear; here all are in (1,211 sequences of the 25,886 rows at hand). A
missing line was the text ``nan`` there; such poems are left out (128). The word to include keeps no
punctuation around it, and depends on the seed. Where a cell lists several counts of syllables, the first
counts. Dashes, apostrophes and ellipses that became control characters (in 173 poems) are restored.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spectrum_trl.suite.builders import Built, Row, grouped, keep_rows, pooled, text
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

SOURCE = Source(
    name="haikus", title="docmarionum1/haikurnn", licence="unstated (poems of several third parties)"
)

FILE = "haikurnn/input/poems/haikus.csv"
LINES = ("0", "1", "2")
COUNTS = tuple(f"{line}_syllables" for line in LINES)
LENGTH = 64
# What Windows writes where Unicode has control characters: dashes, quotes, an ellipsis.
WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
# An apostrophe or a hyphen belongs to a word only between two letters.
WORD = re.compile(r"\w+(?:['’-]\w+)*")

SYLLABLES_DESCRIPTION = "Haiku, given the number of syllables in each of the three lines."
WORD_DESCRIPTION = "Haiku, given a word to include and the number of syllables in each line."
POEM_DESCRIPTION = "Haiku: short poems of three lines, by many authors."


def _poems(path: Path, *, dropped: Counter[str]) -> list[Row]:
    rows = keep_rows(
        csv_rows(path, (*LINES, "source", *COUNTS)),
        lambda row: all(text(row[line]) for line in LINES),
        reason="poem without three lines",
        dropped=dropped,
    )
    return [
        {
            "source": row["source"],
            "poem": "\n".join(text(row[line].translate(WINDOWS)) for line in LINES),
            "syllables": _syllables([row[count] for count in COUNTS]),
        }
        for row in rows
    ]


def _syllables(cells: Sequence[str]) -> str:
    """Return the first count of each cell, or nothing if one holds none."""
    first = [re.search(r"\d+", cell) for cell in cells]
    return ", ".join(found[0] for found in first if found) if all(first) else ""


def _with_word(poems: Sequence[Row], *, seed: int) -> Iterator[Row]:
    rng = np.random.default_rng(seed)
    for row in poems:
        words = WORD.findall(row["poem"])
        chosen = words[rng.integers(len(words))] if words else ""
        yield {**row, "include_word": chosen}


def _different(poems: Sequence[Row], *, dropped: Counter[str]) -> list[Row]:
    found = {row["poem"]: row for row in poems}
    dropped["poem occurs again"] += len(poems) - len(found)
    return list(found.values())


def build(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of 64 poems: by syllables, by a word and syllables, and without either."""
    poems = _poems(data_dir / FILE, dropped=dropped)
    yield from grouped(
        poems,
        constants={"part": "syllables"},
        group_by=("part", "source"),
        input="syllables",
        output="poem",
        descriptions=SYLLABLES_DESCRIPTION,
        length=LENGTH,
        seed=seed,
        dropped=dropped,
    )
    yield from grouped(
        _with_word(poems, seed=seed),
        constants={"part": "word"},
        group_by=("part", "source"),
        input={"include_word": "include_word", "syllables": "syllables"},
        output="poem",
        descriptions=WORD_DESCRIPTION,
        length=LENGTH,
        seed=seed,
        dropped=dropped,
    )
    yield from pooled(
        _different(poems, dropped=dropped),
        name="poem",
        output="poem",
        descriptions=POEM_DESCRIPTION,
        length=LENGTH,
        seed=seed,
        dropped=dropped,
    )


TASKS = [
    Task(
        name="haikus",
        summary="poems of three lines, by syllables or a word to include, or alone",
        source=SOURCE,
        kind="generation",
        split="train",
        files=(FILE,),
        build=build,
    )
]
