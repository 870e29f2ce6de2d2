"""The 50 states of the USA, from the package us, without the District of Columbia and the territories.

Names are valid in any case, with any white space between words. Postal codes must be in capital letters:
``in`` and ``or`` are words. If both are allowed, name and code of a state are one answer (published: two).
"""

from pathlib import Path

import us

from spectrum_trl.evaluation.diversity_tasks.diversity_task import DiversityTask, Valid
from spectrum_trl.suite.source import Source

NAMES = {state.abbr: state.name.casefold() for state in us.states.STATES}
SOURCE = Source(name="us", title="the package us", licence="BSD-2-Clause")


def _is_name(data_dir: Path) -> Valid:
    return frozenset(NAMES.values()).__contains__


def _name(text: str) -> str:
    return " ".join(text.split()).casefold()


def _name_of_either(text: str) -> str:
    text = text.strip()
    return NAMES.get(text) or _name(text)


TASKS = (
    DiversityTask(
        name="us_states_full_names",
        description="The name of a state of the USA",
        examples=("Ohio", "New Mexico", "Vermont"),
        validator=_is_name,
        canonical=_name,
        universe=tuple(sorted(NAMES.values())),
        max_new_tokens=15,
        source=SOURCE,
    ),
    DiversityTask(
        name="us_states_abbreviations",
        description="The two-letter postal code of a state of the USA",
        examples=("OH", "NM", "VT"),
        validator=lambda data_dir: NAMES.__contains__,
        universe=tuple(sorted(NAMES)),
        max_new_tokens=5,
        source=SOURCE,
    ),
    DiversityTask(
        name="us_states_any_format",
        description="A state of the USA, by its name or its two-letter postal code",
        examples=("Ohio", "NM", "Vermont"),
        validator=_is_name,
        canonical=_name_of_either,
        universe=tuple(sorted(NAMES.values())),
        max_new_tokens=15,
        source=SOURCE,
    ),
)
