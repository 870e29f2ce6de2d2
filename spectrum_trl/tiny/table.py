"""Tables of results of the tiny evaluation: all figures, paired differences, and a few samples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spectrum_trl.metrics.distributional import uniform_guess
from spectrum_trl.metrics.intervals import Interval, mean_interval, ratio_interval
from spectrum_trl.tiny.scores import InContext, Sampling, TinyResult, Urns

# Outputs by the number of examples before them.
POSITIONS = {"no example": slice(0, 1), "1–7 examples": slice(1, 8), "≥ 8 examples": slice(8, None)}
EXACT_UNIQUE = "  exact sampler, as many valid samples"


class Row(NamedTuple):
    """One figure of the table.

    Attributes:
        section: Heading of the group of figures.
        metric: Name of the figure.
        values: One value per item, or one sum per item if ``weights`` are given.
        exact: Value of a perfect model, or None if it depends on the model.
        uniform: Value of the uniform guess, or None if it has none.
        weights: Denominators of the sums, one per item, or None for a mean.
    """

    section: str
    metric: str
    values: NDArray[np.float64]
    exact: float | None
    uniform: float | None = None
    weights: NDArray[np.float64] | None = None

    def interval(self, *, seed: int) -> Interval:
        """Return the figure with its 95% interval."""
        if self.weights is None:
            return mean_interval(self.values, seed=seed)
        # Divergences, shares and their differences, which lie within these bounds.
        return ratio_interval(self.values, self.weights, seed=seed, within=(-1.0, 1.0))


def rows(result: TinyResult) -> list[Row]:
    """Return the figures of a result, in the order of the table."""
    return [
        *_urns(result.urn),
        *_excess("coin", result.coin),
        *_excess("categorical", result.die),
        *_excess("numbers", result.number),
        *_samples("urns", result.urns),
        *_samples("ranges", result.ranges),
    ]


def table(results: Mapping[str, TinyResult], *, seed: int = 0) -> Table:
    """Return a table of results side by side: figures with 95% intervals, uniform guess, and exact values.

    Args:
        results: Results by title; at least one, all measured with the same seed.
        seed: Seed of the bootstrap.
    """
    made = Table(title="Held-out distributions: mean [95% interval], divergence and loss in nats")
    made.add_column("metric")
    for name in (*results, "uniform guess", "exact"):
        made.add_column(escape(name), justify="right")
    section = ""
    for row, cells in _cells(results, seed=seed):
        if row.section != section:
            section = row.section
            made.add_section()
            made.add_row(f"[bold]{section}[/]")
        made.add_row(f"  {row.metric}", *map(escape, cells))
    return made


def markdown(results: Mapping[str, TinyResult], *, seed: int = 0) -> str:
    """Return the contents of `table` in Markdown."""
    names = ["", *results, "uniform guess", "exact"]
    lines = [names, ["---", *["---:"] * (len(names) - 1)]]
    lines += [[f"{row.section}: {row.metric.strip()}", *cells] for row, cells in _cells(results, seed=seed)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(results: Mapping[str, TinyResult], *, seed: int) -> Iterator[tuple[Row, list[str]]]:
    for lines in zip(*(rows(result) for result in results.values()), strict=True):
        cells = [_cell(line.interval(seed=seed)) for line in lines]
        yield lines[0], [*cells, _known(lines[0].uniform), _known(lines[0].exact)]


def differences(results: Mapping[str, TinyResult], *, last: str, seed: int = 0) -> Table:
    """Return a table of the paired differences between one model and each of the others.

    Args:
        results: Results by title.
        last: Title of the model to compare with the others.
        seed: Seed of the bootstrap.
    """
    made = Table(title=f"{last} minus the others, paired by item: mean [95% interval]")
    made.add_column("metric")
    others = [name for name in results if name != last]
    for name in others:
        made.add_column(escape(name), justify="right")
    theirs = [rows(results[name]) for name in others]
    for number, own in enumerate(rows(results[last])):
        # Weights depend on the items only, so they are the same for all models.
        changes = [own._replace(values=own.values - other[number].values) for other in theirs]
        if own.metric != EXACT_UNIQUE:
            cells = [escape(_cell(change.interval(seed=seed))) for change in changes]
            made.add_row(f"{own.section}: {own.metric}", *cells)
    return made


def samples(results: Mapping[str, TinyResult]) -> Table:
    """Return a table of each model's first samples of one urn and one range."""
    made = Table(title="The first samples of one urn and of one range", show_lines=True)
    first = next(iter(results.values()))
    made.add_column("model")
    for part in (first.urns, first.ranges):
        made.add_column(escape(part.descriptions[0]), overflow="fold")
    for name, result in results.items():
        made.add_row(
            escape(name), *(escape(", ".join(part.first[0])) for part in (result.urns, result.ranges))
        )
    return made


def show(results: Mapping[str, TinyResult], *, console: Console | None = None) -> None:
    """Print the table of figures; ``results`` as for `table`."""
    (console or Console()).print(table(results))


def _urns(urn: Urns) -> Iterator[Row]:
    section, compared = "described urns", urn.compared()
    guesses = [uniform_guess(p) for p in urn.exact]
    uniform = {
        name: float(np.mean([getattr(one, name) for one in guesses]))
        for name in ("js_divergence", "mode_match")
    }
    worlds = urn.proportions()
    urns = _sums(np.ones(len(worlds)), worlds)

    def summed(name: str) -> NDArray[np.float64]:
        return _sums([getattr(one, name) for one in compared], worlds)

    yield Row(section, "JS divergence", summed("js_divergence"), 0.0, uniform["js_divergence"], urns)
    products, squares = (_sums(part, worlds) for part in urn.slopes())
    uneven = squares > 0
    yield Row(section, "slope of shares on true shares", products[uneven], 1.0, 0.0, squares[uneven])
    yield Row(section, "mode match", summed("mode_match"), 1.0, uniform["mode_match"], urns)
    yield Row(section, "coverage", summed("coverage"), 1.0, None, urns)


def _excess(kind: str, measured: InContext) -> Iterator[Row]:
    for name, positions in POSITIONS.items():
        yield Row(f"{kind}: loss above optimal", name, measured.excess(positions), 0.0)


def _samples(kind: str, part: Sampling) -> Iterator[Row]:
    worlds = part.worlds()
    section = f"{part.n} samples of each of {len(worlds)} prompts"
    if len(set(worlds)) < len(worlds):
        section += f" of {len(set(worlds))} {kind}"
    section += "" if kind in section else f", {kind}"

    def row(metric: str, values: Sequence[float], exact: float | None, uniform: float | None = None) -> Row:
        return Row(section, metric, _by_world(values, worlds), exact, uniform)

    answers = np.array(part.answers)
    evenly = answers * (1 - (1 - 1 / answers) ** part.n)
    yield row("share valid", part.share_valid, 1.0)
    yield row("probability that two agree", part.collision, _mean(part.exact_collision), _mean(1 / answers))
    yield row("unique share of valid samples", part.share_unique, None)
    yield row(EXACT_UNIQUE, part.exact_unique, None)
    yield row("yield (different valid samples)", part.yield_count, _mean(part.exact_yield), _mean(evenly))


def _by_world(values: Sequence[float], worlds: Sequence[str]) -> NDArray[np.float64]:
    """Return the mean over the wordings of each world, in the order of the worlds."""
    return _sums(values, worlds) / _sums(np.ones(len(worlds)), worlds)


def _sums(values: Iterable[float], worlds: Sequence[str]) -> NDArray[np.float64]:
    """Return the sum over the items of each world, in the order of the worlds."""
    found: dict[str, float] = {}
    for value, world in zip(values, worlds, strict=True):
        found[world] = found.get(world, 0.0) + float(value)
    return np.array(list(found.values()))


def _mean(values: Any) -> float:
    return float(np.mean(values))


def _cell(interval: Interval) -> str:
    if np.isnan(interval.low):
        return _number(interval.mean)
    return f"{_number(interval.mean)} [{_number(interval.low)}, {_number(interval.high)}]"


def _known(value: float | None) -> str:
    return "—" if value is None else _number(value)


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
