"""Show a recipe's training data: a table of counts, and sequences with the trained tokens coloured."""

import random
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from spectrum_trl.console import counted, visible
from spectrum_trl.data.encode import TaskCounts
from spectrum_trl.data.mixture import Mixture

COLUMNS = (
    *("sequences", "outputs", "tokens", "trained", "dropped", "cut sequences", "cut outputs"),
    "tokens used",
)
TRAINED, CONTEXT = "black on green", "dim"


def count_table(mixture: Mixture) -> Table:
    """Return a table of kept, trained, dropped and truncated counts, one row per task."""
    table = Table(title="Training data")
    table.add_column("task", min_width=30, overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    cells = [_numbers(count) for count in mixture.counts]
    for count, numbers in zip(mixture.counts, cells, strict=True):
        table.add_row(escape(visible(count.task)), *_shown(numbers))
    totals = [sum(column) for column in zip(*cells, strict=True)]
    table.add_section()
    table.add_row("all", *_shown(totals))
    return table


def _numbers(count: TaskCounts) -> list[int]:
    dropped = sum(count.dropped.values())
    kept = (count.sequences, count.outputs, count.tokens, count.trained_tokens)
    cut = (count.cut_sequences, count.cut_outputs, count.repeated_tokens, count.cut_tokens)
    return [*kept, dropped, *cut]


def _shown(numbers: list[int]) -> list[str]:
    """Return the cells of a row; the last one is the share of tokens that truncation kept."""
    *whole, repeated, cut = numbers
    used = numbers[COLUMNS.index("tokens")] - repeated
    return [*(f"{n:,}" for n in whole), f"{used / (used + cut):.1%}" if used else "—"]


def missing_table(mixture: Mixture) -> Table:
    """Return a table of the tasks without data, and how to get it."""
    table = Table(title=f"Missing, so left out: {counted(len(mixture.missing), 'task')}")
    table.add_column("task", overflow="fold")
    table.add_column("how to get it", overflow="fold")
    for task, how in mixture.missing.items():
        table.add_row(escape(visible(task)), escape(how))
    return table


def coloured(ids: list[int], mask: Iterable[int], *, tokenizer: PreTrainedTokenizerBase) -> Text:
    """Return the text of a sequence, with a green background for tokens that carry loss.

    ``mask`` is 1 for these, else 0.
    """
    text = Text()
    for trained, pairs in groupby(zip(ids, mask, strict=True), key=lambda pair: pair[1]):
        piece = str(tokenizer.decode([token for token, _ in pairs]))
        text.append(visible(piece).replace("\n", "⏎\n"), style=TRAINED if trained else CONTEXT)
    return text


def show(
    mixture: Mixture, *, tokenizer: PreTrainedTokenizerBase, console: Console, samples: int = 3, seed: int
) -> None:
    """Print counts, reasons for dropped rows, tasks without data, and sequences of a few tasks.

    The seed chooses as many tasks as ``samples``, and their sequences.
    """
    console.print(count_table(mixture))
    for count in mixture.counts:
        for reason, n in (+Counter(count.dropped)).items():
            console.print(f"dropped from {visible(count.task)}: {n:,} ({reason})", markup=False)
    without = [visible(count.task) for count in mixture.held_out_counts if not count.sequences]
    for count in mixture.held_out_counts:
        if count.sequences:
            said = f"{counted(count.sequences, 'sequence')}, {counted(count.trained_tokens, 'trained token')}"
            console.print(f"loss measured while training: {visible(count.task)}: {said}", markup=False)
    if without:
        console.print(f"no individual is held out of: {', '.join(without)}", markup=False)
    if mixture.missing:
        console.print(missing_table(mixture))
    rng = random.Random(seed)
    present = [count.task for count in mixture.counts if count.sequences]
    tasks = mixture.dataset["task"]
    for task in rng.sample(present, min(samples, len(present))):
        rows = [index for index, name in enumerate(tasks) if name == task]
        row = mixture.dataset[rng.choice(rows)]
        mask = row.get("assistant_masks") or [1] * len(row["input_ids"])
        console.rule(escape(visible(task)))
        console.print(coloured(row["input_ids"], mask, tokenizer=tokenizer))
