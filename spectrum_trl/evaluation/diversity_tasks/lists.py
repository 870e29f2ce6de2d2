"""Closed lists: days of the week, chemical elements, and states of the USA.

Case and the full stop of a day's abbreviation are ignored (published: up to 49 texts for seven days, so even
an exact sampler of a single spelling covered a third or less). Abbreviations have three letters, as their
prompt says; if every format is valid, so are the common longer ones and ``M``, ``T``, ``W``, ``Th``, ``F``,
``Sa``, ``Su``, and all forms of a day are one answer.

Symbols of elements are case-sensitive: ``CO`` is not cobalt. Names are not, and British spellings are the
same element (published: invalid).

The states are those of the package us, without the District of Columbia and the territories. Names are valid
in any case, with any white space between words. Postal codes must be in capital letters: ``in`` and ``or``
are words. If both are allowed, name and code of a state are one answer (published: two).
"""

import periodictable
import us

from spectrum_trl.evaluation.axis_tasks import prompted
from spectrum_trl.suite.source import GENERATED, Source

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORT = tuple(day[:3] for day in DAYS)
LETTERS = ("m", "t", "w", "th", "f", "sa", "su")
MEANT = {
    **dict(zip((*DAYS, *SHORT, *LETTERS), DAYS * 3, strict=True)),
    **{"tues": "tuesday", "weds": "wednesday", "thur": "thursday", "thurs": "thursday"},
}
# The table also lists the neutron, as number 0.
ELEMENTS = tuple(element for element in periodictable.elements if element.number > 0)
SYMBOLS = tuple(element.symbol for element in ELEMENTS)
ELEMENT_NAMES = tuple(element.name.casefold() for element in ELEMENTS)
BRITISH = {"aluminium": "aluminum", "caesium": "cesium", "sulphur": "sulfur"}
STATES = {state.abbr: state.name.casefold() for state in us.states.STATES}
STATE_NAMES = tuple(sorted(STATES.values()))


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


def _element(text: str) -> str:
    return BRITISH.get(_folded(text), _folded(text))


def _state(text: str) -> str:
    return " ".join(text.split()).casefold()


def _state_of_either(text: str) -> str:
    return STATES.get(text.strip()) or _state(text)


CALENDAR = Source(name="calendar", title="the English calendar", licence=GENERATED)
TABLE = Source(name="periodictable", title="the package periodictable", licence="public domain")
US = Source(name="us", title="the package us", licence="BSD-2-Clause")
TASKS = (
    prompted("weekdays_full", universe=DAYS, canonical=_folded, source=CALENDAR),
    prompted("weekdays_abbreviated", universe=SHORT, canonical=_without_stop, source=CALENDAR),
    prompted("weekdays_any_format", universe=DAYS, canonical=_day_meant, source=CALENDAR),
    prompted("element_symbols", universe=SYMBOLS, source=TABLE),
    prompted("element_names", universe=ELEMENT_NAMES, canonical=_element, source=TABLE),
    prompted("us_states_full_names", universe=STATE_NAMES, canonical=_state, source=US),
    prompted("us_states_abbreviations", universe=tuple(sorted(STATES)), source=US),
    prompted("us_states_any_format", universe=STATE_NAMES, canonical=_state_of_either, source=US),
)
