"""The number game: does a number belong to a set, given a few of its members? 606 people, 255 sets.

Rows without a value, and ratings other than 0 and 1, are left out and counted. Whole numbers with decimals
(``1.0``) are accepted. The order of a set's numbers is the file's.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from spectrum_trl.suite.reading.tables import table_rows
from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Download, Source

FILE = "numbergame/numbergame_data.csv"
SOURCE = Source(
    name="numbergame",
    title="The number game (Bigelow and Piantadosi)",
    homepage="https://doi.org/10.7910/DVN/A8ZWLF",
    licence="CC0 1.0 (the Dataverse record)",
    citation="Bigelow and Piantadosi, A Large Dataset of Generalization Patterns in the Number Game, Journal "
    "of Open Psychology Data 4 (2016), doi 10.5334/jopd.19",
    downloads=(
        Download(path=FILE, url="https://dataverse.harvard.edu/api/access/datafile/2696204?format=original"),
    ),
    steps=(
        "Open https://doi.org/10.7910/DVN/A8ZWLF, the dataset on the Harvard Dataverse.",
        "Download numbergame_data.csv; if asked for a format, choose the original one.",
        "Put it into the folder numbergame of the data folder, under this name.",
    ),
    unchecked="No real file was at hand. Address, licence, columns set, target, rating and id, and sets "
    "written as 16_8_2 follow programs by others that read it (brackets, commas and spaces are read too).",
)
ANSWERS = {"1": "Yes", "0": "No"}
INPUT = ("numbers", "target")

INDIVIDUAL_DESCRIPTIONS = (
    "One participant of an experiment sees some numbers that a hidden rule has produced, and one more "
    "number, the target. Output: Yes if the participant thinks that the target follows the same rule, else "
    "No.",
    "A person guesses whether a target number belongs to the set that the given numbers are from. All "
    "answers, Yes or No, are by this person.",
    "Generalizing from a few whole numbers between 1 and 100: would the target be in the set too, according "
    "to this participant? Yes or No.",
)
SHARE_DESCRIPTIONS = (
    "Some numbers from a hidden set are shown to several people, and a target number. Output: how many "
    "percent of these people think that the target belongs to the set.",
    "Number game with a crowd: for given numbers and a target, the share of participants (whole percent) who "
    "answered that the target is in the same set.",
    "The percentage of people who say that the target number goes with the given numbers, from 0% to 100%.",
)


class Rating(NamedTuple):
    """One answer: ``set`` as in the file, ``numbers`` its numbers with commas, ``rating`` 1 or 0."""

    person: str
    set: str
    numbers: str
    target: str
    rating: str


def ratings(path: Path, *, dropped: Counter[str]) -> Iterator[Rating]:
    """Yield the answers in the order of the file.

    Args:
        path: The table, with the columns set, target, rating and id.
        dropped: Receives the number of rows without a value, or with ratings other than 0 and 1.
    """
    for row in table_rows(path, ("id", "set", "target", "rating"), dropped=dropped):
        person, shown, target, rating = (text(cell).removesuffix(".0") for cell in row.values())
        numbers = ", ".join(re.findall("[0-9]+", shown))
        if not (person and numbers and target and rating):
            dropped["row without a value"] += 1
        elif rating not in ANSWERS:
            dropped["rating that is not 0 or 1"] += 1
        else:
            yield Rating(person, shown, numbers, target, rating)


def _target(target: str) -> int | str:
    return int(target) if target.isdecimal() else target


def _answers(data: Data) -> Iterator[Row]:
    for each in ratings(data.folder / FILE, dropped=data.dropped):
        yield each._asdict() | {"target": _target(each.target), "answer": ANSWERS[each.rating]}


def _shares(data: Data) -> Iterator[Row]:
    """Yield the pairs of set and target, with the share of Yes."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for each in ratings(data.folder / FILE, dropped=data.dropped):
        found.setdefault((each.numbers, each.target), Counter())[each.rating] += 1
    for (numbers, target), answers in found.items():
        share = f"{round(100 * answers['1'] / answers.total())}%"
        yield {"numbers": numbers, "target": _target(target), "share": share}


task = partial(declared_task, source=SOURCE, split="test", files=(FILE,))
TASKS = [
    task(
        "numbergame_individual",
        kind="individual",
        summary="whether one participant thinks a number belongs to a hidden set",
        rows=_answers,
        group_by=("person",),
        input=INPUT,
        output="answer",
        descriptions=INDIVIDUAL_DESCRIPTIONS,
    ),
    task(
        "numbergame_perc",
        kind="population",
        summary="share of participants who think a number belongs to a hidden set",
        rows=_shares,
        input=INPUT,
        output="share",
        descriptions=SHARE_DESCRIPTIONS,
        mean_length=128,
    ),
]
