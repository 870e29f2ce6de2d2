"""Names of colours, checked against a community list of some 32,000.

Case is ignored, and American ``gray`` is ``grey`` (published: invalid). The two tasks differ only in their
examples; with ``mode=description`` they are identical.
"""

import re
from functools import cache
from pathlib import Path

from spectrum_trl.evaluation.axis_tasks import prompted
from spectrum_trl.suite.reading.tables import csv_rows
from spectrum_trl.suite.source import Source, github

FILE = "diverse_valid_data/colornames.csv"
_GRAY = re.compile(r"\bgray", re.IGNORECASE)


def colour(text: str) -> str:
    """Return the canonical form of a name."""
    return _GRAY.sub("grey", " ".join(text.split())).casefold()


@cache
def _colours(data_dir: Path) -> frozenset[str]:
    return frozenset(colour(row["name"]) for row in csv_rows(data_dir / FILE, ("name",)))


SOURCE = Source(
    name="color-names",
    title="meodai/color-names",
    homepage="https://github.com/meodai/color-names, src/colornames.csv",
    licence="MIT",
    downloads=github(
        "meodai/color-names", "bc533465ab1db99a8488aef478fa44e2aa5d7849", {FILE: "src/colornames.csv"}
    ),
)
TASKS = tuple(
    prompted(name, read=_colours, canonical=colour, source=SOURCE, files=(FILE,))
    for name in ("color_normal_ex", "color_interesting_ex")
)
