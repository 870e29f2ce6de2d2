"""The Suite's card: a table of each task's statistics, and a figure of the composition."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spectrum_trl.suite.building.stats import TaskStats
from spectrum_trl.suite.task import Task

# A palette distinguishable with any colour vision (Okabe and Ito 2008).
COLOURS = {
    "individual": "#0072B2",
    "population": "#56B4E9",
    "annotation": "#009E73",
    "numeric": "#E69F00",
    "generation": "#CC79A7",
    "knowledge": "#999999",
}
TITLE = "# Suite card"
COLUMNS = (
    *("task", "split", "kind", "source", "licence"),
    *("sequences", "outputs", "different", "entropy", "tokens", "paper"),
)


class Row(NamedTuple):
    """One task of the card.

    Attributes:
        task: The task.
        stats: Its statistics.
        dropped: Number of rows left out, by reason.
        paper: Its statistics with the paper's sampling, or None if that is the same.
    """

    task: Task
    stats: TaskStats
    dropped: Mapping[str, int]
    paper: TaskStats | None


def card(rows: Iterable[Row], *, missing: Mapping[str, str], seed: int, tokens: str) -> str:
    """Return the card in Markdown.

    Args:
        rows: Rows of the built tasks.
        missing: How to get the data of each task that has none, by task name.
        seed: Seed of the build.
        tokens: How tokens were counted.
    """
    every = list(rows)
    lines = [
        TITLE,
        "",
        f"{len(every)} tasks of {len({row.task.source.name for row in every})} sources, seed {seed}. Tokens: "
        f"{tokens}. Entropy is that of all output texts of a task, in nats. Paper: sequences and outputs "
        "with the paper's sampling, if that differs from the default.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for task, stats, _, paper in every:
        beside = f"{paper.sequences:,} / {paper.outputs:,}" if paper else "same"
        lines.append(
            f"| {task.name} | {task.split} | {task.kind} | {cell(task.source.title)} | "
            f"{cell(task.source.licence)} | {stats.sequences:,} | {stats.outputs:,} | {stats.different:,} | "
            f"{stats.entropy:.2f} | {stats.tokens:,} | {beside} |"
        )
    lines += ["", "## Left out", "", "| task | reason | rows |", "| --- | --- | ---: |"]
    lines += [
        f"| {row.task.name} | {cell(reason)} | {n:,} |"
        for row in every
        for reason, n in row.dropped.items()
        if n
    ]
    if missing:
        lines += ["", "## Missing", "", "| task | how to get it |", "| --- | --- |"]
        lines += [f"| {name} | {cell(how)} |" for name, how in missing.items()]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Return a text for a cell of a Markdown table: on one line, without bars."""
    return " ".join(text.replace("|", "/").split())


def draw(rows: Iterable[Row], path: Path) -> None:
    """Plot the number of outputs from each source, by kind.

    Args:
        rows: Rows of the built tasks.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure

    outputs: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        outputs[row.task.source.name][row.task.kind] += row.stats.outputs
    order = sorted(outputs, key=lambda name: outputs[name].total())
    figure = Figure(figsize=(8, 1.2 + 0.24 * len(order)), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(order)
    for kind, colour in COLOURS.items():
        widths = [outputs[name][kind] for name in order]
        if any(widths):
            axes.barh(order, widths, left=left, color=colour, label=kind)
            left = [a + b for a, b in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        axes.annotate(
            f" {int(total):,}",
            (total, place),
            va="center",
            fontsize=7,
            color="#444444",
            annotation_clip=False,
        )
    axes.set_xlabel("outputs")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("Spectrum Suite: outputs by source and kind", loc="left")
    axes.legend(loc="lower right", frameon=False)
    axes.margins(x=0.12, y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, format="png")
