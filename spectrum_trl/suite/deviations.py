"""Deviations from the method's research code, as listed in ``deviations.yaml``."""

from pathlib import Path
from typing import NamedTuple

import yaml

FILE = Path(__file__).with_suffix(".yaml")


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
    """Return all deviations, in the order of the file."""
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [Deviation(**(row | {"tasks": tuple(row["tasks"])})) for row in rows]
