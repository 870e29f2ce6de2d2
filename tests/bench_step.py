"""Where the time of a training step on a CPU goes, with TRL's output layer and with ours."""

import tempfile
import time
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile, record_function
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from spectrum_trl.models.load import load_model
from spectrum_trl.training.output_layer import score_labelled_positions

WAYS = ("TRL's output layer", "ours: labelled positions only")
ROWS = 8
# Parts of a step, each with the profiler's names of its operations; the rest reads and writes memory.
PARTS = {
    "output layer": ("ChunkedLogProbFunction", "_LogProbs"),
    "attention": ("aten::_scaled_dot_product",),
    "optimizer": ("optimizer",),
}
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm")


def peak(*, size: int = 4096, times: int = 3) -> float:
    """Return the floating point operations per second of a large bfloat16 matrix product."""
    left, right = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
    left @ right
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / median(seconds)


def operations(model: Any, *, tokens: int, labelled: int) -> float:
    """Return the operations of the matrix products of a step: forward, and twice as many backward.

    The output layer is needed at labelled positions only; attention between positions is left out.
    """
    head = model.get_output_embeddings().weight.numel()
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    inner = sum(weight.numel() for weight in model.parameters()) - (head if tied else 2 * head)
    return 6.0 * (inner * tokens + head * labelled)


class Step:
    """A trainer with one batch, which it can train on again and again."""

    def __init__(self, way: str, model: str, rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> None:
        self.folder = tempfile.TemporaryDirectory()
        args = SFTConfig(
            output_dir=self.folder.name,
            use_cpu=True,
            bf16=True,
            report_to="none",
            activation_checkpointing=False,
            per_device_train_batch_size=ROWS,
            max_length=None,
            dataloader_pin_memory=False,
        )
        self.trainer = SFTTrainer(
            load_model(model), args, train_dataset=rows.select(range(ROWS)), processing_class=tokenizer
        )
        if way == WAYS[1]:
            score_labelled_positions(self.trainer)
        self.model: Any = self.trainer.model
        self.optimizer = self.trainer.create_optimizer()
        self.batch = next(iter(self.trainer.get_train_dataloader()))
        self.labelled = int((self.batch["labels"][:, 1:] != -100).sum())
        self.tokens = int(self.batch["attention_mask"].sum())

    def run(self) -> float:
        """Train once; returns the seconds it took."""
        start = time.perf_counter()
        self.model.train()
        self.trainer.training_step(self.model, dict(self.batch), torch.tensor(self.labelled))
        with record_function("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()
        return time.perf_counter() - start

    def parts(self) -> dict[str, float]:
        """Train once under the profiler; returns the share of the time of each part, in [0, 1]."""
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            self.run()
        events = profiled.key_averages()
        total = sum(event.self_cpu_time_total for event in events)
        found = {}
        for part, names in PARTS.items():
            # A backward pass is also counted by the event of the engine around it.
            of_part = [event for event in events if event.key.startswith(names)]
            found[part] = sum(event.cpu_time_total for event in of_part) / total
        products = sum(event.self_cpu_time_total for event in events if event.key in PRODUCTS) / total
        return {**found, "all matrix products": products}


def measure(model: str, rows: Dataset, *, tokenizer: PreTrainedTokenizerBase, rounds: int) -> dict[str, Any]:
    """Return trained tokens per second, the share of the peak, and the parts of a step, of both ways."""
    steps = {way: Step(way, model, rows, tokenizer) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for step in steps.values():
        step.run()
    for _ in range(rounds):
        for way, step in steps.items():
            seconds[way].append(step.run())
    highest, results = peak(), {}
    for way, step in steps.items():
        needed = operations(step.model, tokens=step.tokens, labelled=step.labelled)
        results[way] = {
            "trained_tokens_per_second": step.labelled / median(seconds[way]),
            "tokens_per_second": step.tokens / median(seconds[way]),
            "share_of_peak": needed / median(seconds[way]) / highest,
            "parts": step.parts(),
        }
    return {"tokens": step.tokens, "labelled": step.labelled, "peak": highest, "ways": results}


def show(found: dict[str, Any], *, console: Console) -> None:
    """Print both ways beside each other."""
    title = (
        f"A step of {found['tokens']:,} tokens, {found['labelled']:,} of them trained, in bfloat16 on a CPU"
    )
    table = Table(title=title)
    table.add_column("")
    for way in WAYS:
        table.add_column(way, justify="right")
    first = found["ways"][WAYS[0]]["trained_tokens_per_second"]
    ways = [found["ways"][way] for way in WAYS]
    table.add_row("trained tokens per second", *(f"{way['trained_tokens_per_second']:,.1f}" for way in ways))
    table.add_row("ratio", *(f"{way['trained_tokens_per_second'] / first:.2f}" for way in ways))
    table.add_row("all tokens per second", *(f"{way['tokens_per_second']:,.1f}" for way in ways))
    table.add_row(
        f"share of the peak ({found['peak'] / 1e9:,.0f} GFLOP/s)",
        *(f"{way['share_of_peak']:.0%}" for way in ways),
    )
    for part in (*PARTS, "all matrix products"):
        table.add_row(f"time in {part}", *(f"{way['parts'][part]:.0%}" for way in ways))
    console.print(table)
