"""Print tables: the headlines of an evaluation with their baselines, and how two evaluations differ."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, JustifyMethod
from rich.table import Table

from spectrum_trl.console import counted, plain
from spectrum_trl.evaluation.headlines import STDERR, Headline, has_low_coverage, headlines
from spectrum_trl.evaluation.results import ANSWERS_TRAINED_ON, LOWEST_COVERAGE
from spectrum_trl.metrics.intervals import Interval

if TYPE_CHECKING:
    # It takes a second to import.
    from spectrum_trl.evaluation.compare import Comparison

DIFFERENCE_COLUMNS = (
    *("metric", "rows", "clusters", "not paired", "first", "second", "difference", "p", "verdict"),
)
# A smaller figure would be printed as 0.0000, or with a single digit.
SMALL = 1e-3


def show(results: dict[str, Any], *, out: Console) -> None:
    """Print the headline of each task of an evaluation with its interval, and tasks with missing data."""
    table = Table(title="Means with 95% intervals; all metrics are in the results file")
    # Unwrapped names can be searched for.
    table.add_column("task", no_wrap=True)
    for column in ("n", "headline", "value", "interval", "other metrics"):
        table.add_column(column, justify="right" if column in ("n", "value") else "left", overflow="fold")
    low = False
    for name, headline, figures in headlines(results):
        marked = has_low_coverage(headline.metric, figures)
        low |= marked
        table.add_row(
            plain(name),
            f"{figures.get(headline.counted_by) or 0:,.0f}",
            plain(headline.metric),
            f"{number(figures[headline.metric])}{' (low coverage)' * marked}",
            interval_text(headline, figures),
            plain(", ".join(_beside(headline, figures))) or "—",
        )
    if table.row_count:
        out.print(table)
    if low:
        out.print(
            f"low coverage: the answers together have a probability below {LOWEST_COVERAGE}, so their shares "
            "are meaningless; look at log_loss or loss, or try another --format",
            markup=False,
        )
    for name, missing in results.get("missing", {}).items():
        out.print(f"{name}: no score, missing data: {missing['files']}. {missing['how']}", markup=False)


def lines(results: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each headline of a task that has just finished."""
    for _, headline, figures in headlines(results):
        marked = " (low coverage)" if has_low_coverage(headline.metric, figures) else ""
        beside = "".join(f", {text}" for text in _beside(headline, figures))
        yield f"{headline.metric} {number(figures[headline.metric])}{marked}{beside}"


def number(value: float | None) -> str:
    """Return a figure with four digits, a small one in scientific form, a missing one as a dash."""
    if value is None or math.isnan(value):
        return "—"
    return f"{value:.1e}" if 0 < abs(value) < SMALL else f"{value:.4f}"


def interval_text(headline: Headline, figures: dict[str, Any]) -> str:
    """Return the interval of a headline, or what is known in its place."""
    low, high = (figures.get(f"{headline.metric}_{end}") for end in ("low", "high"))
    metric, comma, rule = headline.metric.partition(",")
    if isinstance(error := figures.get(f"{metric}{STDERR}{comma}{rule}"), float):
        return f"standard error {number(error)}"
    return "—" if low is None or high is None else f"{number(low)} to {number(high)}"


def _beside(headline: Headline, figures: dict[str, Any]) -> Iterator[str]:
    for name in headline.beside:
        # Tasks without few labels have no counting.
        if figures.get(name) is not None:
            yield f"{name} {number(figures[name])}"
    if said := figures.get(ANSWERS_TRAINED_ON):
        yield f"({said})"


def show_comparison(found: "Comparison", *, title: str, mark: Callable[[str], str], out: Console) -> None:
    """Print the differences of two evaluations, and the tasks that could not be compared.

    Args:
        found: The comparison.
        title: Title of the table.
        mark: Says how a model was trained on a task, see `splits.marks_of`.
        out: Where to print.
    """
    table = Table(title=f"{plain(title)}, differences with 95% intervals")
    table.add_column("task", no_wrap=True)
    for column in DIFFERENCE_COLUMNS:
        justify: JustifyMethod = "left" if column in ("metric", "verdict") else "right"
        table.add_column(column, justify=justify, overflow="fold")
    for one in found.tasks:
        p = "—" if math.isnan(one.p) else f"{one.p:.4f}"
        figures = [number(one.first), number(one.second), signed(one.difference), p]
        counts = [f"{n:,}" for n in (one.n, one.clusters, one.left_out)]
        said = mark(one.task)
        name = plain(f"{one.task} ({said})" if said else one.task)
        table.add_row(name, plain(one.metric), *counts, *figures, one.verdict)
    out.print(table)
    for task, formats in found.formats.items():
        out.print(f"{task}: formats differ, {formats[0]} and {formats[1]}", markup=False)
    for name, mean in found.means.items():
        left = f", {mean.left_out} left out: infinite, or a single row" if mean.left_out else ""
        of = f"mean over {counted(mean.tasks, 'task')}, {name}"
        line = f"{of}: {signed(mean.difference)}, p {mean.p:.4f}{left}"
        out.print(line, markup=False)
    for lost in found.unpaired:
        out.print(f"not compared: {lost.task}, {lost.metric}: {lost.reason}", markup=False)


def signed(difference: Interval) -> str:
    """Return a difference with its sign, and with its interval if it has one."""
    if math.isnan(difference.low):
        return f"{difference.mean:+.4f}"
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
