"""Report a run's evaluation: tables, one picture, and files for ``spectrum-trl compare``."""

import os
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.files import check_writable, write_atomic, writing
from spectrum_trl.metrics.intervals import mean_interval
from spectrum_trl.tiny import scores, table
from spectrum_trl.tiny.evaluation_items import OUTPUTS
from spectrum_trl.tiny.scores import CATEGORICAL, COIN, COLUMNS, COMPARE, NUMBERS, TUNED, URN, TinyResult
from spectrum_trl.tiny.table import SEED, rows

PICTURE, MARKDOWN = "curves.png", "table.md"
# Okabe and Ito's palette, which colour-blind readers can distinguish; markers work without colour.
COLOURS = ("#D55E00", "#E69F00", "#CC79A7", "#009E73", "#0072B2")
# Losses above optimal are drawn on a linear scale up to here, and on a logarithmic one beyond.
LINEAR = 0.1
MARKERS = ("o", "v", "^", "D", "s")


def report_run(run: Path, *, out: Console | None = None) -> list[Path]:
    """Print the tables of a run with ``evaluate: tiny``, plot its curves, and return the written files.

    Raises:
        UserError: If the folder contains no evaluation, or results that cannot be compared.
    """
    files = {name: run / f"{name}.json" for name in COLUMNS}
    found = {name: scores.load(file) for name, file in files.items() if os.path.isfile(file)}
    if len({scores.measured_on(one) for one in found.values()}) > 1:
        raise UserError(
            f"{run}: its results were measured with different seeds or on other items; train again"
        )
    if not found:
        raise UserError(
            f"{run} contains no evaluation; train with `evaluate: tiny` first, as recipes/demo.yaml does"
        )
    check_writable(run / PICTURE)
    out = out or console()
    titled = {COLUMNS[name].title: one for name, one in found.items()}
    out.print(table.table(titled))
    if TUNED in found and len(found) > 1:
        out.print(table.differences(titled, last=COLUMNS[TUNED].title))
    with writing(run):
        plot(titled, run / PICTURE)
        with write_atomic(run / MARKDOWN) as temporary:
            temporary.write_text(table.markdown(titled), encoding="utf-8")
        written = [
            file for name, one in found.items() for file in scores.write_samples(one, run / COMPARE / name)
        ]
    out.print(f"curves: {run / PICTURE}, table in Markdown: {run / MARKDOWN}", markup=False)
    out.print(table.samples(titled))
    return [run / PICTURE, run / MARKDOWN, *written]


def plot(results: Mapping[str, TinyResult], path: str | Path) -> None:
    """Plot loss above optimal by number of examples, and divergences of the urns, atomically to a PNG file.

    The results are by name, for example column titles: one to five, all measured with the same seed.

    Raises:
        ValueError: If there are no results, or more than there are colours.
    """
    if not 1 <= len(results) <= len(COLOURS):
        raise ValueError(f"{len(results)} results to draw, expected 1 to {len(COLOURS)}")
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    for task, title, ax in (
        (COIN, "Coin of unknown bias", axes[0, 0]),
        (CATEGORICAL, "Categorical, 3–5 labels of unknown probability", axes[0, 1]),
        (NUMBERS, "Numbers around an unknown value", axes[1, 0]),
    ):
        _curves(ax, results, task)
        ax.set(title=title, xlabel="examples seen", ylabel="loss above Bayes-optimal (nats)")
    _divergences(axes[1, 1], results)
    # The curves look the same in all panels, so one legend is enough.
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    target = Path(path)
    with write_atomic(target) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def _curves(ax: Axes, results: Mapping[str, TinyResult], task: str) -> None:
    """Plot the mean loss above the Bayes-optimal one by position."""
    for (name, result), colour, marker in zip(results.items(), COLOURS, MARKERS, strict=False):
        # The difference removes the difficulty of the sequences, which both losses share.
        regrets = [mean_interval(result.regret(task, slice(n, n + 1)), seed=SEED) for n in range(OUTPUTS)]
        mean, low, high = np.array(regrets).T
        positions = np.arange(OUTPUTS)
        ax.plot(positions, mean, color=colour, marker=marker, markersize=4, label=name)
        ax.fill_between(positions, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.axhline(0, color="black", linestyle="--", label="Bayes-optimal")
    # A collapsed model loses a hundred times as much as a good one.
    ax.set_yscale("symlog", linthresh=LINEAR, linscale=0.7)
    ax.set_ylim(bottom=-LINEAR / 2)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.spines[["top", "right"]].set_visible(False)


def _divergences(ax: Axes, results: Mapping[str, TinyResult]) -> None:
    """Plot one point per urn, and the mean with its interval."""
    rng = np.random.default_rng(SEED)
    for place, ((_, result), colour, marker) in enumerate(
        zip(results.items(), COLOURS, MARKERS, strict=False)
    ):
        values = result.values(URN, "js_divergence")
        spread = rng.uniform(-0.25, 0.25, len(values))
        ax.scatter(place + spread, values, s=12, color=colour, marker=marker, alpha=0.35, linewidth=0)
        mean, low, high = rows(result)[0].interval()
        ax.errorbar(
            place,
            mean,
            yerr=[[mean - low], [high - mean]],
            color="black",
            marker="_",
            markersize=28,
            capsize=6,
        )
        ax.annotate(f"{mean:.3f}", (place + 0.3, mean), va="center")
    # Divergences compare shares among the labels; coverage is their total probability.
    coverage = {name: result.mean(URN, "coverage") for name, result in results.items()}
    ticks = [f"{textwrap.fill(name, 14)}\ncoverage {share:.2f}" for name, share in coverage.items()]
    ax.set_xticks(range(len(results)), ticks, fontsize="small")
    ax.set_xlim(-0.5, len(results) - 0.3)
    ax.set_ylim(bottom=0)
    ax.set(title="Urns with described contents", ylabel="JS divergence from the exact (nats)")
    ax.spines[["top", "right"]].set_visible(False)
