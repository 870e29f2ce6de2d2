"""The table of an evaluation: one headline a task, beside what it has to beat."""

import math
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from spectrum_trl.evaluation.run import headlines

# Further figures that are shown beside a headline.
BESIDE = {
    "loss": ("regret", "accuracy"),
    "js_divergence": ("uniform_js_divergence", "coverage", "mode_match"),
    "yield_count": ("exact_yield", "share_valid", "share_unique"),
}
COUNTS = {"loss": "sequences", "js_divergence": "items", "yield_count": "samples"}


def show(results: dict[str, Any], *, out: Console) -> None:
    """Print the headline of each task with its interval, and what is missing.

    Args:
        results: Of `spectrum_trl.evaluation.run.evaluate`.
        out: Where to print.
    """
    table = Table(title="Means with 95% intervals; every figure is in the results file")
    for column in ("task", "n", "headline", "value", "interval", "beside it"):
        table.add_column(column, justify="right" if column in ("n", "value") else "left", overflow="fold")
    for name, metric, figures in headlines(results):
        low, high = (figures.get(f"{metric}_{end}") for end in ("low", "high"))
        table.add_row(
            name,
            f"{figures.get(COUNTS[metric], 0):,.0f}",
            metric,
            f"{figures[metric]:.4f}",
            "—" if low is None or math.isnan(low) else f"{low:.4f} to {high:.4f}",
            ", ".join(_beside(metric, figures)) or "—",
        )
    if table.row_count:
        out.print(table)
    for name, missing in results.get("missing", {}).items():
        out.print(f"{name}: no figure, data missing: {missing['files']}. {missing['how']}", markup=False)


def _beside(metric: str, figures: dict[str, Any]) -> Iterator[str]:
    for name in BESIDE[metric]:
        if name in figures:
            yield f"{name} {figures[name]:.4f}"
