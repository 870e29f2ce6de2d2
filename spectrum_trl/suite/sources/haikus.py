"""Haiku and other poems of three lines (docmarionum1/haikurnn, from several collections; licence unstated).

One task with three parts over all poems: given the syllables of the lines, given the syllables and a word to
include (both with one collection per sequence), and poems alone (all collections pooled, each poem once). If
a cell lists several syllable counts, the first is used. Dashes, apostrophes and ellipses that became control
characters (in 173 poems) are restored.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.reading.tables import csv_rows
from spectrum_trl.suite.sequences.builders import Row, Sequences, grouped, text
from spectrum_trl.suite.source import Source, github
from spectrum_trl.suite.task import Data, Task

FILE = "haikurnn/input/poems/haikus.csv"
SOURCE = Source(
    name="haikus",
    title="docmarionum1/haikurnn",
    licence="unstated (poems of several third parties)",
    citation="Neiman, Generating Haiku with Deep Learning, 2018, github.com/docmarionum1/haikurnn",
    downloads=github(
        "docmarionum1/haikurnn",
        "43d72d056a96cad27edff6b91a344776a4c65d1b",
        {FILE: "input/poems/haikus.csv"},
    ),
    size=2_297_885,
)
LINES = ("0", "1", "2")
COUNTS = tuple(f"{line}_syllables" for line in LINES)
LENGTH, MOST = 64, 200
# Windows-1252 has dashes, quotes and an ellipsis where Unicode has control characters.
WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
# An apostrophe or a hyphen belongs to a word only between two letters.
WORD = re.compile(r"\w+(?:['’-]\w+)*")

SYLLABLES_DESCRIPTION = "Haiku, given the number of syllables in each of the three lines."
WORD_DESCRIPTION = "Haiku, given a word to include and the number of syllables in each line."
POEM_DESCRIPTION = "Haiku: short poems of three lines, by many authors."


def _poems(data: Data) -> list[Row]:
    rows = data.keep(
        csv_rows(data.folder / FILE, (*LINES, "source", *COUNTS)),
        lambda row: all(text(row[line]) for line in LINES),
        reason="poem without three lines",
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
    """Return the first count of each cell, or an empty string if a cell has none."""
    first = [re.search(r"\d+", cell) for cell in cells]
    return ", ".join(found[0] for found in first if found) if all(first) else ""


def _with_word(poems: Sequence[Row], *, seed: int) -> Iterator[Row]:
    rng = stream(seed, task="haikus", purpose="word")
    for row in poems:
        words = WORD.findall(row["poem"])
        chosen = words[rng.integers(len(words))] if words else ""
        yield {**row, "include_word": chosen}


def build(data: Data, *, most: int | None = None) -> Sequences:
    """Build sequences of 64 poems given syllables, a word and syllables, or neither; ``most`` of each."""
    poems = _poems(data)
    build: Callable[..., Sequences] = partial(grouped, data=data, output="poem", length=LENGTH)
    by_source = partial(build, group_by=("part", "source"))
    by_syllables = by_source(
        poems, constants={"part": "syllables"}, input="syllables", descriptions=SYLLABLES_DESCRIPTION
    )
    by_word = by_source(
        _with_word(poems, seed=data.seed),
        constants={"part": "word"},
        input=("include_word", "syllables"),
        descriptions=WORD_DESCRIPTION,
    )
    different = {row["poem"]: row for row in poems}
    data.dropped["poem occurs again"] += len(poems) - len(different)
    alone = build(different.values(), name="poem", descriptions=POEM_DESCRIPTION)
    for part in (by_syllables, by_word, alone):
        # Plain ids: a poem stands in three parts, so holding out one part's poems would not hide them.
        yield from ((str(sequence_id), messages) for sequence_id, messages in islice(part, most))


TASKS = [
    Task(
        name="haikus",
        summary="poems of three lines, by syllables or a word to include, or alone",
        source=SOURCE,
        kind="generation",
        files=(FILE,),
        build=build,
        paper=partial(build, most=MOST),
    )
]
