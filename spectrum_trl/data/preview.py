"""Show what a recipe trains on: a table of counts, and sequences with the trained tokens in colour."""

import random
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.mixture import Mixture

TRAINED, CONTEXT = "black on green", "dim"
# Control characters but tab and line feed, which a terminal would obey, as their pictures (␛ for escape).
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {
    code: 0xFFFD for code in range(0x7F, 0xA0)
}


def count_table(mixture: Mixture) -> Table:
    """Return a table of sequences, outputs, trained tokens, dropped and cut, one row per task."""
    table = Table(title="Training data")
    table.add_column("task", min_width=30, overflow="fold")
    for column in ("sequences", "outputs", "tokens", "trained", "dropped", "cut sequences", "cut outputs"):
        table.add_column(column, justify="right")
    for count in mixture.counts:
        table.add_row(
            escape(visible(count.task)),
            *(f"{n:,}" for n in (count.sequences, count.outputs, count.tokens, count.trained_tokens)),
            f"{sum(count.dropped.values()):,}",
            f"{count.cut_sequences:,}",
            f"{count.cut_outputs:,}",
        )
    totals = [
        sum(column)
        for column in zip(
            *(
                (c.sequences, c.outputs, c.tokens, c.trained_tokens, sum(c.dropped.values()), c.cut_sequences)
                + (c.cut_outputs,)
                for c in mixture.counts
            ),
            strict=True,
        )
    ]
    table.add_section()
    table.add_row("all", *(f"{n:,}" for n in totals))
    return table


def visible(text: str) -> str:
    """Return text that a terminal only shows: no control character of it is obeyed."""
    return text.translate(PICTURES)


def coloured(ids: list[int], mask: Iterable[int], *, tokenizer: PreTrainedTokenizerBase) -> Text:
    """Return the text of a sequence, tokens that carry loss on green.

    Args:
        ids: Token ids.
        mask: 1 where a token carries loss, else 0.
        tokenizer: That decodes them.
    """
    text = Text()
    for trained, pairs in groupby(zip(ids, mask, strict=True), key=lambda pair: pair[1]):
        piece = str(tokenizer.decode([token for token, _ in pairs]))
        text.append(visible(piece).replace("\n", "⏎\n"), style=TRAINED if trained else CONTEXT)
    return text


def show(
    mixture: Mixture, *, tokenizer: PreTrainedTokenizerBase, console: Console, samples: int = 3, seed: int
) -> None:
    """Print counts, reasons of what was dropped, missing data sets, and sample sequences.

    Args:
        mixture: The training data.
        tokenizer: That made it.
        console: Where to print.
        samples: How many tasks to show a sequence of.
        seed: Which sequences.
    """
    console.print(count_table(mixture))
    for count in mixture.counts:
        for reason, n in (+Counter(count.dropped)).items():
            console.print(f"dropped from {visible(count.task)}: {n:,} ({reason})", markup=False)
    for task, files in mixture.missing.items():
        console.print(f"missing: {task} (no file matches {', '.join(files)})", markup=False, style="yellow")
    rng = random.Random(seed)
    present = [count.task for count in mixture.counts if count.sequences]
    tasks = mixture.dataset["task"]
    for task in rng.sample(present, min(samples, len(present))):
        rows = [index for index, name in enumerate(tasks) if name == task]
        row = mixture.dataset[rng.choice(rows)]
        mask = row.get("assistant_masks") or [1] * len(row["input_ids"])
        console.rule(escape(visible(task)))
        console.print(coloured(row["input_ids"], mask, tokenizer=tokenizer))
