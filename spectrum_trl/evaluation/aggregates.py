"""Aggregate the values of a metric over rows into one figure with its interval."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from spectrum_trl.evaluation.results import LOWEST_COVERAGE
from spectrum_trl.metrics.intervals import Interval, by_cluster, ratio_interval

# The sum over a row's outputs, their number, and the name of the row's cluster if rows are not independent;
# None if the row has no such output. Every row has every metric: lm-eval collects those of the first row.
Row = Sequence[Any] | None
Aggregation = dict[str, Callable[[list[Any]], float | None]]
SEED = 0


class Metric(NamedTuple):
    """Properties of a metric.

    Attributes:
        higher_is_better: Its direction, or None if it has none.
        within: Its smallest and largest possible value.
    """

    higher_is_better: bool | None
    within: tuple[float, float] = (0.0, 1.0)


def with_interval(name: str, row: Row) -> dict[str, Row]:
    """Return a row's value under the names of a metric and of both ends of its interval.

    A non-finite value becomes None: JSON cannot represent it, and its metric gets no figure.
    """
    if row and row[0] is not None and not math.isfinite(row[0]):
        row = [None, *row[1:]]
    return {name: row, f"{name}_low": row, f"{name}_high": row}


def aggregations(metrics: Mapping[str, Metric], *, plain: Sequence[str] = ()) -> Aggregation:
    """Return the aggregation function of each metric with an interval, and of the plain ones without."""
    found: Aggregation = dict.fromkeys(plain, ratio)
    for name, metric in metrics.items():
        found[name] = ratio
        for which in ("low", "high"):
            found[f"{name}_{which}"] = partial(_end, which, metric.within)
    return found


def directions(metrics: Mapping[str, Metric]) -> dict[str, bool]:
    """Return the direction of metrics, and of the ends of their intervals."""
    ends = ("", "_low", "_high")
    found = {name: metric.higher_is_better for name, metric in metrics.items()}
    return {f"{name}{end}": way for name, way in found.items() if way is not None for end in ends}


def ratio(rows: list[Row]) -> float | None:
    """Return the mean over all outputs of all rows; None if there are none, or a value is not finite."""
    filled = [row for row in rows if row]
    n = sum(row[1] for row in filled)
    if not n or any(row[0] is None or not math.isfinite(row[0]) for row in filled):
        return None
    return float(sum(row[0] for row in filled) / n)


def is_low(rows: list[Row]) -> float | None:
    """Return 1 if the mean coverage is too low for shares to be meaningful, else 0."""
    mean = ratio(rows)
    return None if mean is None else float(mean < LOWEST_COVERAGE)


def total(values: list[float | None]) -> float:
    """Return the sum."""
    return sum(value for value in values if value)


def _end(which: str, within: tuple[float, float], rows: list[Row]) -> float | None:
    if ratio(rows) is None:
        return None
    sums, counts = by_cluster(row for row in rows if row)
    end = float(getattr(_interval(tuple(sums), tuple(counts), within), which))
    return end if math.isfinite(end) else None


# Both ends of an interval are computed separately from the same rows.
@lru_cache(maxsize=8)
def _interval(sums: tuple[float, ...], counts: tuple[float, ...], within: tuple[float, float]) -> Interval:
    return ratio_interval(sums, counts, seed=SEED, within=within)
