"""The pictures of a report as places in pixels, which a template draws as SVG.

All are as wide as a phone, so that their text is readable there; several stand beside each other elsewhere.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from spectrum_trl.report.scales import Scale, scale_for

WIDTH, LEFT, RIGHT = 360, 44, 14
# Of a picture of curves, and its margins above and below.
HEIGHT, TOP, BOTTOM = 230, 12, 40
# Of a row of points: its name, and each model's own level, so that equal figures do not hide each other.
NAME, LEVEL = 30, 8
CONTOURS = (0.1, 0.25, 0.5, 0.75, 0.9)
LOG = "logarithmic"
# What all names of an axis begin with, and the characters that fit into a picture.
PREFIX, LONGEST = re.compile("^spectrum_(icl|dist|div)_"), 54


class Mark(NamedTuple):
    """A point.

    Attributes:
        model: Number of the model, which decides colour and shape.
        x: Its place.
        y: Its place.
        low: The place where its interval begins, on the axis of figures; None if there is none.
        high: The place where it ends.
        hollow: Whether it is drawn hollow, because coverage is low.
        text: What it says when it is pointed at.
    """

    model: int
    x: float
    y: float
    low: float | None
    high: float | None
    hollow: bool
    text: str


class Line(NamedTuple):
    """One row of a picture of points.

    Attributes:
        name: Its name.
        y: The place of its name.
        end: The place where it ends.
        marks: Its points.
        references: Places and names of baselines and floors.
    """

    name: str
    y: float
    end: float
    marks: list[Mark]
    references: list[tuple[float, str]]


class Points(NamedTuple):
    """One row a task, one point a model; ``table`` has the same as text, by task and number of the model."""

    title: str
    unit: str
    alt: str
    height: float
    ticks: list[tuple[float, str]]
    lines: list[Line]
    table: list[tuple[str, dict[int, str]]]


class Curve(NamedTuple):
    """The points of one model, joined by a line."""

    model: int
    path: str
    marks: list[Mark]


class Curves(NamedTuple):
    """One figure over another.

    Attributes:
        title: Its heading.
        across: What the horizontal axis shows.
        up: What the vertical axis shows.
        alt: What the picture shows, in a sentence.
        x_ticks: Places and texts of ticks.
        y_ticks: Those of the vertical axis.
        curves: One for each model.
        guides: Paths of lines to compare with, the places of their names, and these.
        table: The same as text, by row and number of the model; empty if a table of the page has it.
    """

    title: str
    across: str
    up: str
    alt: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    curves: list[Curve]
    guides: list[tuple[str, float, float, str]]
    table: list[tuple[str, dict[int, str]]] = []


class Figure(NamedTuple):
    """A figure to draw.

    Attributes:
        value: The figure.
        low: The lower end of its interval; NaN if there is none.
        high: The upper end.
        low_coverage: Whether coverage is low.
        text: The figure and its interval as text.
        of: What has it.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    low_coverage: bool = False
    text: str = ""
    of: str = ""


def points(
    title: str,
    rows: Mapping[str, Mapping[int, Figure]],
    *,
    unit: str,
    alt: str,
    references: Mapping[str, Mapping[str, float]] | None = None,
    within: tuple[float, float] | None = None,
) -> Points:
    """Return a picture of points.

    Args:
        title: Its heading.
        rows: Task to number of the model to figure.
        unit: What the axis shows.
        alt: What the picture shows, in a sentence.
        references: Task to name to a figure to compare with.
        within: The axis' ends, if they are known.
    """
    beside = references or {}
    every = [end for cells in rows.values() for one in cells.values() for end in one[:3]]
    every += [value for cells in beside.values() for value in cells.values()]
    ends = (LEFT - 28, WIDTH - RIGHT)
    scale = Scale(*within, *ends) if within else scale_for(every, begin=ends[0], end=ends[1], zero=True)
    height = NAME + LEVEL * (1 + max((model for cells in rows.values() for model in cells), default=0))
    lines = []
    for number, (name, cells) in enumerate(rows.items()):
        y = TOP + height * number + 14.0
        marks = [
            _mark(model, one, scale, y=y + 11 + LEVEL * model)
            for model, one in cells.items()
            if math.isfinite(one.value)
        ]
        known = {text: value for text, value in beside.get(name, {}).items() if math.isfinite(value)}
        places = [(scale.at(value), text) for text, value in known.items()]
        lines.append(Line(_short(name), y, y + height - 18, marks, places))
    said = f"{unit}, {LOG}" if scale.log else unit
    table = [(name, _texts(cells)) for name, cells in rows.items()]
    return Points(title, said, alt, TOP + height * len(rows) + BOTTOM, scale.ticks(), lines, table)


def curves(
    title: str,
    lines: Mapping[int, Mapping[float, Figure]],
    *,
    across: str,
    up: str,
    alt: str,
) -> Curves:
    """Return figures over numbers of examples, which double from place to place.

    Args:
        title: The picture's heading.
        lines: Number of the model to number of examples to figure.
        across: What the horizontal axis shows.
        up: What the vertical one shows.
        alt: What the picture shows, in a sentence.
    """
    steps = sorted({k for line in lines.values() for k in line})
    width = (WIDTH - RIGHT - 10 - LEFT) / max(1, len(steps) - 1)
    places = {k: round(LEFT + 5 + width * number, 1) for number, k in enumerate(steps)}
    every = [end for line in lines.values() for one in line.values() for end in one[:3]]
    scale = scale_for(every, begin=HEIGHT - BOTTOM, end=TOP, zero=True)
    drawn = []
    for model, line in lines.items():
        marks = [
            _mark(model, one, scale, x=places[k])
            for k, one in sorted(line.items())
            if math.isfinite(one.value)
        ]
        drawn.append(Curve(model, _path([(mark.x, mark.y) for mark in marks]), marks))
    ticks = [(places[k], f"{k:g}") for k in steps]
    said = f"{up}, {LOG}" if scale.log else up
    table = [
        (f"{k:g}", _texts({model: line[k] for model, line in lines.items() if k in line})) for k in steps
    ]
    return Curves(title, across, said, alt, ticks, scale.ticks(), drawn, [], table)


def calibration(title: str, lines: Mapping[int, Sequence[tuple[float, Figure]]], *, alt: str) -> Curves:
    """Return frequencies over probabilities, with the diagonal of perfect calibration."""
    x, y = Scale(0, 1, LEFT, WIDTH - RIGHT), Scale(0, 1, HEIGHT - BOTTOM, TOP)
    drawn = []
    for model, line in lines.items():
        marks = [_mark(model, one, y, x=x.at(p)) for p, one in line]
        drawn.append(Curve(model, _path([(mark.x, mark.y) for mark in marks]), marks))
    diagonal = (_path([(x.at(0), y.at(0)), (x.at(1), y.at(1))]), x.at(0.62), y.at(0.72), "perfect")
    return Curves(
        title, "probability of a token", "share that occurred", alt, x.ticks(), y.ticks(), drawn, [diagonal]
    )


def validity(title: str, found: Mapping[int, Sequence[tuple[float, Figure]]], *, alt: str) -> Curves:
    """Return diversity over validity, with contours of equal yield."""
    x, y = Scale(0, 1, LEFT, WIDTH - RIGHT - 26), Scale(0, 1, HEIGHT + 60 - BOTTOM, TOP)
    drawn = [
        Curve(model, "", [_mark(model, one, y, x=x.at(p)) for p, one in cells])
        for model, cells in found.items()
    ]
    guides = []
    for level in CONTOURS:
        steps = [level + (1 - level) * n / 24 for n in range(25)]
        path = _path([(x.at(p), y.at(level / p)) for p in steps])
        guides.append((path, x.at(1) + 3, y.at(level) + 3, f"{level:.0%}"))
    return Curves(
        title,
        "valid share of samples",
        "distinct share of valid ones",
        alt,
        x.ticks(),
        y.ticks(),
        drawn,
        guides,
    )


def _mark(model: int, one: Figure, scale: Scale, *, x: float | None = None, y: float = 0.0) -> Mark:
    """Return a point: at a height y of a row, or at a place x of a curve."""
    bounded = math.isfinite(one.low) and math.isfinite(one.high)
    low, high = (scale.at(one.low), scale.at(one.high)) if bounded else (None, None)
    at = scale.at(one.value)
    here = (at, y) if x is None else (x, at)
    return Mark(model, *here, low, high, one.low_coverage, f"{one.of}: {one.text}")


def _short(name: str) -> str:
    """Return a task's name without what the names of its axis have in common, as long as fits a picture."""
    own = PREFIX.sub("", name)
    return own if len(own) <= LONGEST else f"{own[: LONGEST - 1]}…"


def _texts(cells: Mapping[int, Figure]) -> dict[int, str]:
    return {model: one.text for model, one in cells.items()}


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{'L' if n else 'M'}{x:g},{y:g}" for n, (x, y) in enumerate(places))
