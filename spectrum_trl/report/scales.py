"""Axes of pictures: from figures to pixels, with round ticks."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

# Positive figures that differ by more than this factor are drawn on a logarithmic axis.
WIDE = 30.0
TICKS = 5
# Larger powers of ten are no numbers.
LARGEST = 308


class Scale(NamedTuple):
    """One axis.

    Attributes:
        low: The figure at its beginning.
        high: The figure at its end.
        begin: Its beginning in pixels.
        end: Its end in pixels.
        log: Whether it is logarithmic.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a figure in pixels; what lies outside is drawn at the nearer end."""
        low, high, own = (_log(each) if self.log else each for each in (self.low, self.high, value))
        share = (own - low) / (high - low) if high > low else 0.5
        return round(self.begin + (self.end - self.begin) * min(1.0, max(0.0, share)), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return the places of ticks in pixels, and their figures as text."""
        ends = (_log(self.low), _log(self.high)) if self.log else (self.low, self.high)
        values = [float(v) for v in MaxNLocator(TICKS, integer=self.log).tick_values(*ends)]
        values = [10.0**v for v in values if abs(v) <= LARGEST] if self.log else values
        inside = [v for v in values if self.low * (1 - 1e-9) <= v <= self.high * (1 + 1e-9)]
        return [(self.at(v), f"{0.0 if abs(v) < 1e-12 else v:g}") for v in inside]


def scale_for(values: Iterable[float], *, begin: float, end: float, zero: bool = False) -> Scale:
    """Return an axis that holds all finite figures.

    Args:
        values: The figures; others are left out.
        begin: The axis' beginning in pixels.
        end: Its end.
        zero: Whether it begins at 0 unless it is logarithmic.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if low > 0 and high / low > WIDE:
        ends = (10.0 ** math.floor(_log(low)), 10.0 ** min(LARGEST, math.ceil(_log(high))))
        return Scale(*ends, begin, end, log=True)
    if zero:
        low = min(0.0, low)
    if high <= low:
        low, high = low - 0.5 * (not zero), low + (1.0 if zero else 0.5)
    edges = np.asarray(MaxNLocator(TICKS).tick_values(low, high))
    return Scale(float(edges[0]), float(edges[-1]), begin, end)


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else -math.inf
