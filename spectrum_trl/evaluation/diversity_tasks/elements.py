"""The 118 chemical elements, by the package periodictable.

The case of a symbol counts: ``CO`` is no cobalt. That of a name does not, and British spellings are the same
element (published: invalid).
"""

import periodictable

from spectrum_trl.evaluation.diversity_tasks.task import DiversityTask

# The table also has the neutron, as number 0.
ELEMENTS = tuple(element for element in periodictable.elements if element.number > 0)
SYMBOLS = tuple(element.symbol for element in ELEMENTS)
NAMES = tuple(element.name.casefold() for element in ELEMENTS)
BRITISH = {"aluminium": "aluminum", "caesium": "cesium", "sulphur": "sulfur"}
SOURCE, LICENCE = "the package periodictable", "public domain"


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
        licence=LICENCE,
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
        licence=LICENCE,
    ),
)
