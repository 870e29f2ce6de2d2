"""Tables: the headline of each task beside what it has to beat, and what two evaluations differ in."""

import math
from collections.abc import Iterator
from typing import Any

from rich.console import Console, JustifyMethod
from rich.table import Table

from spectrum_trl.console import plain
from spectrum_trl.evaluation.compare import Comparison
from spectrum_trl.evaluation.headlines import Headline, headlines
from spectrum_trl.metrics.intervals import Interval


def show(results: dict[str, Any], *, out: Console) -> None:
    """Print the headline of each task with its interval, and what is missing.

    Args:
        results: Of `spectrum_trl.evaluation.run.evaluate`.
        out: Where to print.
    """
    table = Table(title="Means with 95% intervals; all metrics are in the results file")
    # A name in one piece can be searched for.
    table.add_column("task", no_wrap=True)
    for column in ("n", "headline", "value", "interval", "other metrics"):
        table.add_column(column, justify="right" if column in ("n", "value") else "left", overflow="fold")
    for name, headline, figures in headlines(results):
        metric = headline.metric
        low, high = (figures.get(f"{metric}_{end}") for end in ("low", "high"))
        table.add_row(
            plain(name),
            f"{figures.get(headline.counted_by, 0):,.0f}",
            plain(metric),
            f"{figures[metric]:.4f}",
            "—" if low is None or math.isnan(low) else f"{low:.4f} to {high:.4f}",
            ", ".join(_beside(headline, figures)) or "—",
        )
    if table.row_count:
        out.print(table)
    for name, missing in results.get("missing", {}).items():
        out.print(f"{name}: no figure, data missing: {missing['files']}. {missing['how']}", markup=False)


def _beside(headline: Headline, figures: dict[str, Any]) -> Iterator[str]:
    for name in headline.beside:
        if name in figures:
            yield f"{name} {figures[name]:.4f}"


def show_comparison(found: Comparison, *, title: str, out: Console) -> None:
    """Print what two evaluations differ in, and what could not be compared."""
    table = Table(title=f"{plain(title)}, differences with 95% intervals")
    table.add_column("task", no_wrap=True)
    for column in (
        "metric",
        "rows",
        "clusters",
        "not paired",
        "first",
        "second",
        "difference",
        "p",
        "verdict",
    ):
        justify: JustifyMethod = "left" if column in ("metric", "verdict") else "right"
        table.add_column(column, justify=justify, overflow="fold")
    for one in found.tasks:
        p = "—" if math.isnan(one.p) else f"{one.p:.4f}"
        figures = [f"{one.first:.4f}", f"{one.second:.4f}", _signed(one.difference), p]
        counts = [f"{n:,}" for n in (one.n, one.clusters, one.left_out)]
        table.add_row(plain(one.task), plain(one.metric), *counts, *figures, one.verdict)
    out.print(table)
    for task, formats in found.formats.items():
        out.print(f"{task}: formats differ, {formats[0]} and {formats[1]}", markup=False)
    for name, mean in found.means.items():
        left = f", {mean.left_out} left out: infinite, or a single row" if mean.left_out else ""
        told = f"mean over {mean.tasks} tasks, {name}: {_signed(mean.difference)}, p {mean.p:.4f}{left}"
        out.print(told, markup=False)
    for lost in found.unpaired:
        out.print(f"not compared: {lost.task}, {lost.metric}: {lost.reason}", markup=False)


def _signed(difference: Interval) -> str:
    if math.isnan(difference.low):
        return f"{difference.mean:+.4f}"
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
