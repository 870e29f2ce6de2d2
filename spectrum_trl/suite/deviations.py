"""Deviations from the method's research code, parsed from the docstrings of the sources."""

import importlib
import pkgutil
import re
from typing import NamedTuple

from spectrum_trl.suite import sources, synthetic
from spectrum_trl.suite.catalogue import suite_tasks

SECTION = "Deviations:"


class Deviation(NamedTuple):
    """One deviation.

    Attributes:
        tasks: The tasks it affects.
        research: What the research code does.
        here: What is done here.
        effect: Effect on the counts.
    """

    tasks: tuple[str, ...]
    research: str
    here: str
    effect: str


def deviations() -> list[Deviation]:
    """Return all deviations, in the order of the modules.

    Raises:
        ValueError: If a docstring's section is malformed, or names an unknown task.
    """
    found = []
    for package in (synthetic, sources):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            docstring = importlib.import_module(module.name).__doc__ or ""
            found += parse(docstring, place=module.name)
    return found


def parse(docstring: str, *, place: str) -> list[Deviation]:
    """Return the deviations that a docstring lists.

    Args:
        docstring: May have a section of entries ``task: research | here | effect``.
        place: Name of the module, for errors.

    Raises:
        ValueError: If an entry is malformed, or names an unknown task.
    """
    _, marked, section = docstring.partition(f"\n{SECTION}\n")
    if not marked:
        return []
    body = re.split(r"\n(?=\S)", section)[0]
    # A line indented like the first one begins an entry.
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
