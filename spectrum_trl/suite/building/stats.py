"""Statistics of tasks' sequences, and the Suite's card, which shows them in a table and a figure."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spectrum_trl.console import counted
from spectrum_trl.suite.task import Message, SampleSequence, Task

# An estimate without a tokenizer: four bytes per token, and five tokens for the markup of a turn.
BYTES_PER_TOKEN, TOKENS_PER_TURN = 4, 5
# Distinct outputs counted exactly; beyond this, the entropy is a lower bound.
MOST_OUTPUTS = 2_000_000
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


class TaskStats(NamedTuple):
    """Statistics of one task.

    Attributes:
        sequences: Number of sequences.
        outputs: Number of outputs in them.
        different: Number of distinct output texts.
        entropy: Entropy of the task's output texts in nats, from 0 if all are equal to ``log(outputs)`` if
            all are distinct.
        tokens: Number of tokens in all messages, counted by the tokenizer or estimated.
    """

    sequences: int
    outputs: int
    different: int
    entropy: float
    tokens: int


def about_tokens(messages: Iterable[Message]) -> int:
    """Estimate the number of tokens in a sequence from its bytes."""
    return sum(
        math.ceil(len(message["content"].encode()) / BYTES_PER_TOKEN) + TOKENS_PER_TURN
        for message in messages
    )


def task_stats(
    sequences: Iterable[SampleSequence], *, tokens: Callable[[list[Message]], int] = about_tokens
) -> TaskStats:
    """Return the statistics of a task.

    Args:
        sequences: The sequences, iterated once.
        tokens: Counts the tokens of a sequence.
    """
    n_sequences = n_outputs = n_tokens = 0
    seen: Counter[int] = Counter()
    for sequence in sequences:
        n_sequences += 1
        n_tokens += tokens(sequence.messages)
        for message in sequence.messages:
            if message["role"] == "output":
                n_outputs += 1
                # The hash of a text identifies it well enough, and is small.
                key = hash(message["content"])
                if key in seen or len(seen) < MOST_OUTPUTS:
                    seen[key] += 1
    shares = [count / n_outputs for count in seen.values()] if n_outputs else []
    entropy = -math.fsum(share * math.log(share) for share in shares)
    return TaskStats(n_sequences, n_outputs, len(seen), max(entropy, 0.0), n_tokens)


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
    sources = {row.task.source.name for row in every}
    lines = [
        TITLE,
        "",
        f"{counted(len(every), 'task')} of {counted(len(sources), 'source')}, seed {seed}. Tokens: "
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
    totals = axes.barh(order, left, alpha=0)
    axes.bar_label(totals, fmt=" {:,.0f}", fontsize=7, color="#444444", annotation_clip=False)
    axes.set_xlabel("outputs")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("Spectrum Suite: outputs by source and kind", loc="left")
    axes.legend(loc="lower right", frameon=False)
    axes.margins(x=0.12, y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, format="png")
