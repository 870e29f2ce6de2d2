"""Results of the tiny evaluation as one table."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spectrum_trl.metrics.intervals import Interval, mean_interval
from spectrum_trl.tiny.measure import InContext, TinyResult

# Outputs by the number of examples before them.
POSITIONS = {"no example": slice(0, 1), "1–7 examples": slice(1, 8), "≥ 8 examples": slice(8, None)}


class Row(NamedTuple):
    """One figure.

    Attributes:
        section: What was done.
        metric: Name and unit.
        values: One per item.
        exact: What a perfect model reaches.
    """

    section: str
    metric: str
    values: NDArray[np.float64]
    exact: float


def rows(result: TinyResult) -> list[Row]:
    """Return the figures of a result, in the order of the table."""
    sampling = result.sampling
    exact_yield = float(np.mean(sampling.exact_yield))
    urn, samples = "described urns", f"{sampling.n} samples per prompt"
    return [
        Row(urn, "JS divergence", np.array(result.urn.js_divergence), 0.0),
        Row(urn, "coverage", np.array(result.urn.coverage), 1.0),
        *_excess("coin", result.coin),
        *_excess("categorical", result.die),
        *_excess("numbers", result.number),
        Row(samples, "share valid", np.array(sampling.share_valid), 1.0),
        Row(samples, "share unique of the valid", np.array(sampling.share_unique), exact_yield / sampling.n),
        Row(samples, "yield (different valid samples)", np.array(sampling.yield_count, float), exact_yield),
    ]


def table(results: Mapping[str, TinyResult], *, seed: int = 0) -> Table:
    """Set results side by side: means with 95 % bootstrap intervals, and what a perfect model reaches.

    Args:
        results: By name, for example ``before`` and ``after``; at least one, all measured with the same seed.
        seed: Of the bootstrap.
    """
    made = Table(title="Held-out distributions: mean [95 % interval], divergence and loss in nats")
    made.add_column("metric")
    for name in results:
        made.add_column(escape(name), justify="right")
    made.add_column("exact", justify="right")
    section = ""
    for lines in zip(*(rows(result) for result in results.values()), strict=True):
        first = lines[0]
        if first.section != section:
            section = first.section
            made.add_section()
            made.add_row(f"[bold]{section}[/]")
        cells = [_cell(mean_interval(line.values, seed=seed)) for line in lines]
        made.add_row(f"  {first.metric}", *cells, _number(first.exact))
    return made


def show(results: Mapping[str, TinyResult], *, console: Console | None = None) -> None:
    """Print the table; arguments as for `table`."""
    (console or Console()).print(table(results))


def _excess(kind: str, measured: InContext) -> Iterator[Row]:
    for name, positions in POSITIONS.items():
        yield Row(f"{kind}: loss above optimal", name, measured.excess(positions), 0.0)


def _cell(interval: Interval) -> str:
    if np.isnan(interval.low):
        return _number(interval.mean)
    # A backslash keeps rich from reading the bracket as markup.
    return rf"{_number(interval.mean)} \[{_number(interval.low)}, {_number(interval.high)}]"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
