"""Passengers of the Titanic (the Kaggle training file, 891 rows), under the field names of mstz/titanic.

The research code reads the Hub set mstz/titanic. The Kaggle file has the same eight facts under other names;
sex and survival become truth values. Cabin, ticket, name and number of a passenger are in no task. A fact
that is not known is left out of the JSON (177 ages and 2 ports are missing). Passengers who share all eight
facts are different people: they all stay. The two tasks have orders of their own.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from spectrum_trl.suite.builders import Built, Field, Row, as_json, pooled, text
from spectrum_trl.suite.lengths import sequence_length
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Kind, Task

SOURCE = Source(
    name="titanic",
    title="Titanic (datasciencedojo/datasets, titanic.csv)",
    licence="unstated (Kaggle's training file)",
)

FILE = "hub/titanic/titanic.csv"


def _number(cell: str) -> int | float | None:
    return json.loads(cell) if re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]+)?", cell) else None


FIELDS: dict[str, tuple[str, Callable[[str], bool | int | float | str | None]]] = {
    "Survived": ("has_survived", {"0": False, "1": True}.get),
    "Pclass": ("passenger_class", _number),
    "Sex": ("is_male", {"female": False, "male": True}.get),
    "Age": ("age", _number),
    "SibSp": ("sibsp", _number),
    "Parch": ("parch", _number),
    "Fare": ("fare", _number),
    "Embarked": ("embarked", {"C": "C", "Q": "Q", "S": "S"}.get),
}
LEGEND = (
    "passenger_class: 1 to 3; age in years; sibsp: brothers, sisters, husband or wife aboard; parch: parents "
    "and children aboard; fare in pounds; embarked: C Cherbourg, Q Queenstown, S Southampton"
)

ALL_DESCRIPTIONS = (
    "Passengers of the Titanic, one JSON object each, in random order. What is not known is left out.",
    f"Records of people who travelled on the Titanic, as JSON. has_survived: whether the person lived; "
    f"{LEGEND}.",
    "Each output is what is known of one passenger of the RMS Titanic in 1912: survival, class, sex, age, "
    "relatives aboard, fare and port of embarkation.",
)
SURVIVAL_DESCRIPTIONS = (
    "Input: facts about a passenger of the Titanic. Output: true if the person survived, false otherwise.",
    f"Who survived the sinking of the Titanic? Each passenger is given as JSON ({LEGEND}), the output is "
    "true or false.",
    "Titanic, 1912: from class, sex, age, family aboard, fare and port, did this passenger live (true) or "
    "die (false)?",
)


def _passengers(path: Path, *, dropped: Counter[str]) -> Iterator[Row]:
    for row in csv_rows(path, tuple(FIELDS)):
        cells = {column: text(cell) for column, cell in row.items()}
        facts = {name: read(cells[column]) for column, (name, read) in FIELDS.items()}
        if unreadable := [
            column for column, (name, _) in FIELDS.items() if cells[column] and facts[name] is None
        ]:
            dropped[f"unknown {unreadable[0]}"] += 1
        else:
            yield facts


def _without_survival(row: Row) -> str:
    return as_json({name: row[name] for name, _ in FIELDS.values() if name != "has_survived"})


def _all_variables(row: Row) -> str:
    return as_json({name: row[name] for name, _ in FIELDS.values()})


def _build(
    data_dir: Path,
    *,
    name: str,
    output: Field,
    descriptions: tuple[str, ...],
    seed: int,
    dropped: Counter[str],
    input: Field | None = None,
) -> Built:
    yield from pooled(
        _passengers(data_dir / FILE, dropped=dropped),
        name=name,
        input=input,
        output=output,
        descriptions=descriptions,
        length=partial(sequence_length, mean=64),
        seed=seed,
        dropped=dropped,
    )


def _task(
    name: str,
    *,
    output: Field,
    descriptions: tuple[str, ...],
    kind: Kind,
    summary: str,
    input: Field | None = None,
) -> Task:
    return Task(
        name=name,
        summary=summary,
        source=SOURCE,
        kind=kind,
        split="train",
        files=(FILE,),
        build=partial(_build, name=name, input=input, output=output, descriptions=descriptions),
    )


TASKS = [
    _task(
        "titanic_all_variables",
        output=_all_variables,
        descriptions=ALL_DESCRIPTIONS,
        kind="generation",
        summary="what is known of a passenger of the Titanic",
    ),
    _task(
        "titanic_survival_prediction",
        input=_without_survival,
        output="has_survived",
        descriptions=SURVIVAL_DESCRIPTIONS,
        kind="individual",
        summary="whether a passenger of the Titanic survived",
    ),
]
