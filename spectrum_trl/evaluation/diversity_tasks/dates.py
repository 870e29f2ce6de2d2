"""Days of the week, in English.

Case and the full stop of an abbreviation are ignored (published: up to 49 texts for seven days, so even an
exact sampler of a single spelling covered a third or less). Abbreviations have three letters, as their prompt
says; if every format is valid, so are the common longer ones and ``M``, ``T``, ``W``, ``Th``, ``F``, ``Sa``,
``Su``, and all forms of a day are one answer.
"""

from pathlib import Path

from spectrum_trl.evaluation.diversity_tasks.diversity_task import DiversityTask, Valid
from spectrum_trl.suite.source import GENERATED, Source

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORT = tuple(day[:3] for day in DAYS)
LETTERS = ("m", "t", "w", "th", "f", "sa", "su")
MEANT = {
    **dict(zip((*DAYS, *SHORT, *LETTERS), DAYS * 3, strict=True)),
    **{"tues": "tuesday", "weds": "wednesday", "thur": "thursday", "thurs": "thursday"},
}


def _is_day(data_dir: Path) -> Valid:
    return frozenset(DAYS).__contains__


def _is_short(data_dir: Path) -> Valid:
    return frozenset(SHORT).__contains__


def _folded(text: str) -> str:
    return text.strip().casefold()


def _without_stop(text: str) -> str:
    text = _folded(text)
    # Only for abbreviations: a canonical form must be stable, but "..." would lose a stop each time.
    bare = text.removesuffix(".")
    return bare if bare in SHORT else text


def _day_meant(text: str) -> str:
    text = _folded(text)
    # A full stop ends an abbreviation, not a name.
    bare = text.removesuffix(".")
    return text if bare in DAYS else MEANT.get(bare, text)


CALENDAR = Source(name="calendar", title="the English calendar", licence=GENERATED)
TASKS = (
    DiversityTask(
        name="weekdays_full",
        description="The name of a day of the week, in English",
        examples=("Tuesday", "Sunday", "Friday"),
        validator=_is_day,
        canonical=_folded,
        universe=DAYS,
        max_new_tokens=10,
        source=CALENDAR,
    ),
    DiversityTask(
        name="weekdays_abbreviated",
        description="The three-letter abbreviation of a day of the week, in English",
        examples=("Tue", "Sun.", "FRI"),
        validator=_is_short,
        canonical=_without_stop,
        universe=SHORT,
        max_new_tokens=5,
        source=CALENDAR,
    ),
    DiversityTask(
        name="weekdays_any_format",
        description="A day of the week in English, in full or abbreviated",
        examples=("Tuesday", "Sun", "FRI"),
        validator=_is_day,
        canonical=_day_meant,
        universe=DAYS,
        max_new_tokens=10,
        source=CALENDAR,
    ),
)
