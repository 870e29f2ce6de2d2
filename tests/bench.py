"""Ratios of the work's phases, from one run (``make bench``): absolute times mean little elsewhere."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from spectrum_trl.data.encode import Encoder, encode
from spectrum_trl.data.mixture import build_mixture
from spectrum_trl.known_tasks import tasks
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.messages import check
from spectrum_trl.recipe.arguments import DataArguments
from tests.oracles import output_losses

SEQUENCES, REPEATS = 400, 3


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of ``REPEATS`` runs: other work on the machine only ever adds time."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Time building, checking, tokenizing, a training step, and scoring of the same sequences."""
    tokenizer = load_tokenizer(TINY_BASE_NAME)
    templates.install(tokenizer)
    model = load_model(TINY_BASE_NAME)
    task = tasks()["tiny_labels"]
    conversations = [s.messages for s in islice(task.sequences(Path(), seed=0), SEQUENCES)]
    data = DataArguments(tasks={task.name: {"max_sequences": SEQUENCES}}, split=["train"])
    mixture = build_mixture(data, tokenizer=tokenizer, max_length=256)
    rows = mixture.dataset.with_format("torch")[:64]["input_ids"]
    batch = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    share = 64 / SEQUENCES

    def step() -> None:
        model(input_ids=batch, labels=batch).loss.backward()

    phases = {
        "draw sequences": lambda: list(islice(task.sequences(Path(), seed=1), SEQUENCES)),
        "check messages": lambda: [check(c, tokenizer=tokenizer) for c in conversations],
        "tokenize with mask": lambda: encode(
            "t", conversations, Encoder(tokenizer, max_length=256), dropped=Counter()
        ),
        "forward and backward": step,
        "score all outputs": lambda: output_losses(model, tokenizer, conversations[:64]),
    }
    times = {name: seconds(work) for name, work in phases.items()}
    times["forward and backward"] /= share
    times["score all outputs"] /= share
    table = Table(title=f"{SEQUENCES} sequences of up to 256 tokens, relative to forward and backward")
    table.add_column("phase")
    table.add_column("share", justify="right")
    for name, value in times.items():
        table.add_row(name, f"{value / times['forward and backward']:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
