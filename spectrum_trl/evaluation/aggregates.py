"""How the values of a metric over rows become one figure with its interval."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from spectrum_trl.metrics.intervals import Interval, ratio_interval

# Of a row: the sum over its outputs, and their number.
Pair = Sequence[float]
Aggregation = dict[str, Callable[[list[Any]], float]]
SEED = 0


def with_interval(name: str, pair: Pair) -> dict[str, Pair]:
    """Return a row's value under the name of a metric and of both ends of its interval."""
    return {name: pair, f"{name}_low": pair, f"{name}_high": pair}


def aggregations(*names: str, plain: Sequence[str] = ()) -> Aggregation:
    """Return how metrics are put together.

    Args:
        *names: Metrics with an interval.
        plain: Metrics without.
    """
    found: Aggregation = dict.fromkeys(plain, ratio)
    for name in names:
        found |= {name: ratio, f"{name}_low": partial(_end, "low"), f"{name}_high": partial(_end, "high")}
    return found


def directions(higher: Mapping[str, bool]) -> dict[str, bool]:
    """Return the direction of metrics, and of the ends of their intervals."""
    return {f"{name}{end}": up for name, up in higher.items() for end in ("", "_low", "_high")}


def ratio(pairs: list[Pair]) -> float:
    """Return the mean over all outputs of all rows."""
    return sum(pair[0] for pair in pairs) / sum(pair[1] for pair in pairs)


def total(values: list[float]) -> float:
    """Return the sum."""
    return sum(values)


def _end(which: str, pairs: list[Pair]) -> float:
    interval: Interval = ratio_interval([pair[0] for pair in pairs], [pair[1] for pair in pairs], seed=SEED)
    return getattr(interval, which)
