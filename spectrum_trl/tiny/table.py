"""Tables of results of the tiny evaluation: all figures, paired differences, and a few samples."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from spectrum_trl.metrics.intervals import Interval, mean_interval, ratio_interval
from spectrum_trl.tiny.evaluation_items import SAMPLES as DRAWN
from spectrum_trl.tiny.scores import SAMPLES, SEQUENCES, URN, TinyResult

# Outputs by the number of examples before them.
POSITIONS = {"no example": slice(0, 1), "1–7 examples": slice(1, 8), "≥ 8 examples": slice(8, None)}
# Of the bootstrap.
SEED = 0
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

    def interval(self) -> Interval:
        """Return the figure with its 95% interval."""
        if self.weights is None:
            return mean_interval(self.values, seed=SEED)
        # Divergences, shares and their differences, which lie within these bounds.
        return ratio_interval(self.values, self.weights, seed=SEED, within=(-1.0, 1.0))


def rows(result: TinyResult) -> list[Row]:
    """Return the figures of a result, in the order of the table."""
    return [
        *_urns(result),
        *(row for task in SEQUENCES for row in _losses(result, task)),
        *(row for task in SAMPLES for row in _samples(result, task)),
    ]


def table(results: Mapping[str, TinyResult]) -> Table:
    """Return a table of results side by side: figures with 95% intervals, uniform guess, and exact values.

    The results are by title; at least one, all measured with the same seed.
    """
    made = Table(title="Held-out distributions: mean [95% interval], divergence and loss in nats")
    made.add_column("metric")
    for name in (*results, "uniform guess", "exact"):
        made.add_column(escape(name), justify="right")
    section = ""
    for row, cells in _cells(results):
        if row.section != section:
            section = row.section
            made.add_section()
            made.add_row(f"[bold]{section}[/]")
        made.add_row(f"  {row.metric}", *map(escape, cells))
    return made


def markdown(results: Mapping[str, TinyResult]) -> str:
    """Return the contents of `table` in Markdown."""
    names = ["", *results, "uniform guess", "exact"]
    lines = [names, ["---", *["---:"] * (len(names) - 1)]]
    lines += [[f"{row.section}: {row.metric.strip()}", *cells] for row, cells in _cells(results)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(results: Mapping[str, TinyResult]) -> Iterator[tuple[Row, list[str]]]:
    for lines in zip(*(rows(result) for result in results.values()), strict=True):
        cells = [_cell(line.interval()) for line in lines]
        yield lines[0], [*cells, _known(lines[0].uniform), _known(lines[0].exact)]


def differences(results: Mapping[str, TinyResult], *, last: str) -> Table:
    """Return a table of the paired differences between one model, by its title, and each of the others."""
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
            cells = [escape(_cell(change.interval())) for change in changes]
            made.add_row(f"{own.section}: {own.metric}", *cells)
    return made


def samples(results: Mapping[str, TinyResult]) -> Table:
    """Return a table of each model's first samples of one urn and one range."""
    made = Table(title="The first samples of one urn and of one range", show_lines=True)
    first = next(iter(results.values()))
    made.add_column("model")
    for task in SAMPLES:
        made.add_column(escape(first.rows[task][0].prompt), overflow="fold")
    for name, result in results.items():
        made.add_row(escape(name), *(escape(", ".join(result.rows[task][0].first)) for task in SAMPLES))
    return made


def _urns(result: TinyResult) -> Iterator[Row]:
    guess = {name: result.mean(URN, f"uniform_{name}") for name in ("js_divergence", "mode_match")}
    for name, metric, exact, uniform in (
        ("JS divergence", "js_divergence", 0.0, guess["js_divergence"]),
        ("slope of shares on true shares", "slope", 1.0, 0.0),
        ("mode match", "mode_match", 1.0, guess["mode_match"]),
        ("coverage", "coverage", 1.0, None),
    ):
        sums, counts = result.clusters(URN, metric)
        yield Row("described urns", name, sums, exact, uniform, counts)


def _losses(result: TinyResult, task: str) -> Iterator[Row]:
    for name, positions in POSITIONS.items():
        section = f"{task.removeprefix('tiny_')}: loss above optimal"
        yield Row(section, name, result.regret(task, positions), 0.0)


def _samples(result: TinyResult, task: str) -> Iterator[Row]:
    kind, n, exact = task.removeprefix("tiny_samples_of_"), len(result.rows[task]), partial(result.mean, task)
    worlds = len(result.clusters(task, "share_valid")[0])
    section = f"{DRAWN} samples of each of {n} prompts" + (f" of {worlds} {kind}" if worlds < n else "")
    section += "" if kind in section else f", {kind}"

    def row(name: str, metric: str, exact: float | None, uniform: float | None = None) -> Row:
        # The mean over the wordings of each world.
        sums, counts = result.clusters(task, metric)
        return Row(section, name, sums / counts, exact, uniform)

    yield row("share valid", "share_valid", 1.0)
    yield row("probability that two agree", "collision", exact("exact_collision"), exact("even_collision"))
    yield row("unique share of valid samples", "share_unique", None)
    yield row(EXACT_UNIQUE, "exact_unique", None)
    yield row("yield (different valid samples)", "yield_count", exact("exact_yield"), exact("even_yield"))


def _cell(interval: Interval) -> str:
    if np.isnan(interval.low):
        return _number(interval.mean)
    return f"{_number(interval.mean)} [{_number(interval.low)}, {_number(interval.high)}]"


def _known(value: float | None) -> str:
    return "—" if value is None else _number(value)


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
