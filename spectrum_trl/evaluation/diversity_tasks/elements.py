"""The 118 chemical elements, from the package periodictable.

Symbols are case-sensitive: ``CO`` is not cobalt. Names are not, and British spellings are the same element
(published: invalid).
"""

import periodictable

from spectrum_trl.evaluation.diversity_tasks.diversity_task import DiversityTask
from spectrum_trl.suite.source import Source

# The table also lists the neutron, as number 0.
ELEMENTS = tuple(element for element in periodictable.elements if element.number > 0)
SYMBOLS = tuple(element.symbol for element in ELEMENTS)
NAMES = tuple(element.name.casefold() for element in ELEMENTS)
BRITISH = {"aluminium": "aluminum", "caesium": "cesium", "sulphur": "sulfur"}
SOURCE = Source(name="periodictable", title="the package periodictable", licence="public domain")


def _name(text: str) -> str:
    text = text.strip().casefold()
    return BRITISH.get(text, text)


TASKS = (
    DiversityTask(
        name="element_symbols",
        description="The symbol of a chemical element",
        examples=("Fe", "K", "Sn"),
        validator=lambda data_dir: frozenset(SYMBOLS).__contains__,
        universe=SYMBOLS,
        max_new_tokens=5,
        source=SOURCE,
    ),
    DiversityTask(
        name="element_names",
        description="The English name of a chemical element",
        examples=("Iron", "Potassium", "Tin"),
        validator=lambda data_dir: frozenset(NAMES).__contains__,
        canonical=_name,
        universe=NAMES,
        max_new_tokens=15,
        source=SOURCE,
    ),
)
