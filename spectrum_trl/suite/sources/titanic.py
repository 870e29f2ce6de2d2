"""Passengers of the Titanic (the Kaggle training file, 891 rows), under the field names of mstz/titanic.

No task uses a passenger's cabin, ticket, name or number. Unknown facts are left out of the JSON (177 ages and
2 ports are missing). Passengers who share all eight facts are different people, and all are kept.
"""

import json
import re
from collections.abc import Callable
from functools import partial

from spectrum_trl.suite.sequences.builders import Row, as_json, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github

FILE, SURVIVED = "hub/titanic/titanic.csv", "Survived"

SOURCE = Source(
    name="titanic",
    title="Titanic (datasciencedojo/datasets, titanic.csv)",
    licence="unstated (Kaggle's training file)",
    citation="Kaggle, Titanic: Machine Learning from Disaster, 2012, training file",
    downloads=github(
        "datasciencedojo/datasets", "f0ccab6a7ceafdff780052166fb6fab3311398eb", {FILE: "titanic.csv"}
    ),
    size=60_302,
)


def _number(cell: str) -> int | float | None:
    return json.loads(cell) if re.fullmatch(r"(0|[1-9][0-9]{,15})(\.[0-9]+)?", cell) else None


FIELDS: dict[str, tuple[str, Callable[[str], bool | int | float | str | None]]] = {
    SURVIVED: ("has_survived", {"0": False, "1": True}.get),
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


def _facts(row: Row, *columns: str) -> str:
    """Return a passenger's known facts as JSON; cells with unexpected values count as unknown."""
    return as_json({FIELDS[each][0]: FIELDS[each][1](text(row[each])) for each in columns})


task = partial(
    declared_task,
    source=SOURCE,
    file=FILE,
    columns=tuple(FIELDS),
    mean_length=64,
)
TASKS = [
    task(
        "titanic_all_variables",
        name="titanic_all_variables",
        output=lambda row: _facts(row, *FIELDS),
        descriptions=ALL_DESCRIPTIONS,
        kind="generation",
        summary="facts about a passenger of the Titanic",
    ),
    task(
        "titanic_survival_prediction",
        name="titanic_survival_prediction",
        input=lambda row: _facts(row, *(each for each in FIELDS if each != SURVIVED)),
        output=lambda row: text(FIELDS[SURVIVED][1](text(row[SURVIVED]))),
        descriptions=SURVIVAL_DESCRIPTIONS,
        kind="individual",
        summary="whether a passenger of the Titanic survived",
    ),
]
