"""What is done otherwise than in the method's research code, read from the docstrings of the sources."""

import importlib
import pkgutil
import re
from typing import NamedTuple

from spectrum_trl.suite import sources, synthetic
from spectrum_trl.suite.catalogue import suite_tasks

SECTION = "Deviations:"


class Deviation(NamedTuple):
    """One difference.

    Attributes:
        tasks: Which tasks it is about.
        research: What the research code does.
        here: What is done here.
        effect: What that changes in the counts.
    """

    tasks: tuple[str, ...]
    research: str
    here: str
    effect: str


def deviations() -> list[Deviation]:
    """Return all differences, in the order of the modules.

    Raises:
        ValueError: If a docstring's section has another form, or names no task.
    """
    found = []
    for package in (synthetic, sources):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            docstring = importlib.import_module(module.name).__doc__ or ""
            found += parse(docstring, place=module.name)
    return found


def parse(docstring: str, *, place: str) -> list[Deviation]:
    """Return the differences that a docstring lists.

    Args:
        docstring: With a section of entries ``task: research | here | effect``, or without.
        place: Name of the module, for errors.

    Raises:
        ValueError: If an entry has another form, or names no task.
    """
    _, marked, section = docstring.partition(f"\n{SECTION}\n")
    if not marked:
        return []
    body = re.split(r"\n(?=\S)", section)[0]
    # An entry begins where the indentation is that of the first one.
    indent = re.match(r" *", body)
    width = len(indent.group()) if indent else 0
    entries = re.split(rf"\n {{{width}}}(?=\S)", body.strip("\n"))
    found = []
    for entry in entries:
        names, _, rest = " ".join(entry.split()).partition(": ")
        tasks = tuple(name.strip(" `") for name in names.split(","))
        parts = [part.strip() for part in rest.split("|")]
        unknown = set(tasks) - set(suite_tasks())
        if len(parts) != 3 or not all(parts) or unknown:
            raise ValueError(f"{place}: not `task: research | here | effect`: {names!r} {unknown or parts}")
        found.append(Deviation(tasks, *parts))
    return found
