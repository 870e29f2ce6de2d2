"""Compare ways to fill a training batch (``make bench-train``): tokens per second, from one run.

On a CPU, the time of one step is shown first, see `tests.bench_step`. Padding does not count as tokens. All
ways train on the same sequences with a global batch of 8 rows, and ratios are to the research setting: one
row at a time, padded to the maximum length.
"""

import gc
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal, NamedTuple

import datasets
import numpy as np
import torch
import transformers.utils.logging
import typer
from datasets import Dataset, concatenate_datasets
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from transformers.utils import is_flash_attn_2_available
from trl import SFTConfig, SFTTrainer

from spectrum_trl.data.encode import Encoder, encode
from spectrum_trl.files import write_json
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.prompts import templates
from spectrum_trl.suite.sequences.builders import iid
from spectrum_trl.tiny.evaluation_items import evaluation_items
from tests import bench_step

ROWS = 8
SEQUENCES = 256
# Shortest and longest sequence of each shape, as shares of the maximum length or in tokens.
NEARLY_FULL, SHORT = (0.82, 1.0), (40, 80)


class Way(NamedTuple):
    """One way to fill a batch of ``ROWS`` rows."""

    name: str
    settings: dict[str, Any]
    attention: str = "sdpa"
    from_messages: bool = False


def ways(max_length: int) -> list[Way]:
    single = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": ROWS}
    whole = {"per_device_train_batch_size": ROWS}
    by_length = {"train_sampling_strategy": "group_by_length"}
    packed, recomputed = {"packing": True}, {"activation_checkpointing": True}
    found = [
        Way("research setting: 1 x 8, padded to max_length", {**single, "pad_to_multiple_of": max_length}),
        Way("plain TRL: batch 8", whole, from_messages=True),
        Way("plain TRL: batch 8, checkpointing", {**whole, **recomputed}, from_messages=True),
        Way("ours: 1 x 8", single),
        Way("ours: batch 8", whole),
        Way("ours: batch 8, grouped by length", {**whole, **by_length}),
        Way("ours: 1 x 8, packed", {**single, **packed}),
        Way("ours: 1 x 8, packed, checkpointing", {**single, **packed, **recomputed}),
        Way("ours: batch 8, packed", {**whole, **packed}),
        Way("ours: 1 x 8, packed, flex_attention", {**single, **packed}, "flex_attention"),
        Way("ours: batch 8, packed, flex_attention", {**whole, **packed}, "flex_attention"),
    ]
    if is_flash_attn_2_available():
        found.append(
            Way("ours: batch 8, packed, flash_attention_2", {**whole, **packed}, "flash_attention_2")
        )
    return found


def sequences(tokenizer: PreTrainedTokenizerBase, *, lengths: tuple[float, float]) -> Dataset:
    """Draw from the tiny world's urns, each sequence cut to whole turns within a random length."""
    rng, worlds = np.random.default_rng(0), evaluation_items(0).urns
    rows = []
    for index in range(SEQUENCES):
        world, length = worlds[index % len(worlds)], int(rng.uniform(*lengths))
        conversation = iid(world.draw(rng, length // 4 + 1), description=world.description)
        encoded, _ = encode("bench", [conversation], Encoder(tokenizer, max_length=length), dropped=Counter())
        rows.append(encoded)
    return concatenate_datasets(rows)


class Clock(TrainerCallback):
    """Notes time and tokens after each step, and stops when the time is up."""

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        self.seconds, self.now, self.notes = seconds, now, list[tuple[float, int]]()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.notes.append((self.now(), state.num_input_tokens_seen))
        elapsed = self.notes[-1][0] - self.notes[0][0]
        control.should_training_stop = len(self.notes) > 1 and elapsed >= self.seconds

    def rate(self) -> float:
        """Tokens per second, without the first step, which warms up."""
        (start, before), (end, after) = self.notes[0], self.notes[-1]
        return (after - before) / (end - start)


def tokens_per_second(
    way: Way, rows: Dataset, *, tokenizer: PreTrainedTokenizerBase, shared: dict[str, Any], model: str
) -> float:
    clock = Clock(shared["seconds"], shared["now"])
    data = rows.select_columns(["messages"]) if way.from_messages else rows
    with tempfile.TemporaryDirectory() as folder:
        args = SFTConfig(
            **{
                "output_dir": folder,
                "max_length": shared["max_length"],
                "use_cpu": shared["device"] == "cpu",
                "bf16": shared["device"] != "cpu",
                "assistant_only_loss": True,
                "activation_checkpointing": False,
                "include_num_input_tokens_seen": "non_padding",
                "max_steps": 100_000,
                "disable_tqdm": True,
                "report_to": "none",
                "save_strategy": "no",
                "logging_steps": 100_000,
                "dataloader_pin_memory": shared["device"] != "cpu",
                **way.settings,
            }
        )
        trainer = SFTTrainer(
            model=load_model(model, attn_implementation=way.attention),
            args=args,
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    del trainer
    gc.collect()
    return clock.rate()


def compare(model: str, *, rounds: int, shared: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the median rate of each way for both shapes; a way that fails has its error instead."""
    tokenizer = load_tokenizer(model)
    templates.install(tokenizer)
    max_length = shared["max_length"]
    full = (NEARLY_FULL[0] * max_length, NEARLY_FULL[1] * max_length)
    results: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for shape, lengths in (("nearly full", full), ("short", SHORT)):
        rows = sequences(tokenizer, lengths=lengths)
        rates: dict[str, list[float]] = {way.name: [] for way in ways(max_length)}
        # Rounds over all ways, so that other work on the machine slows none of them alone.
        for _ in range(rounds):
            for way in ways(max_length):
                if way.name in failed:
                    continue
                try:
                    rates[way.name].append(
                        tokens_per_second(way, rows, tokenizer=tokenizer, shared=shared, model=model)
                    )
                except (RuntimeError, NotImplementedError, ImportError, ValueError) as error:
                    failed[way.name] = " ".join(str(error).split())[:200]
        results[shape] = {
            "mean_tokens": float(np.mean([len(ids) for ids in rows["input_ids"]])),
            "tokens_per_second": {name: median(found) for name, found in rates.items() if found},
            "failed": failed,
        }
    return results


def show(results: dict[str, dict[str, Any]], *, max_length: int, console: Console) -> None:
    table = Table(title=f"Tokens per second without padding, max_length {max_length}, and ratio to research")
    table.add_column("way", min_width=44)
    for shape, result in results.items():
        table.add_column(f"{shape} (mean {result['mean_tokens']:.0f})", justify="right")
        table.add_column("ratio", justify="right")
    for way in ways(max_length):
        cells = []
        for result in results.values():
            rates = result["tokens_per_second"]
            base = rates[ways(max_length)[0].name]
            rate = rates.get(way.name)
            cells += ["failed", "—"] if rate is None else [f"{rate:,.0f}", f"{rate / base:.2f}"]
        table.add_row(way.name, *cells)
    console.print(table)
    failed = {name: reason for result in results.values() for name, reason in result["failed"].items()}
    for name, reason in failed.items():
        console.print(f"{name} failed: {reason}", markup=False)


def main(
    model: Annotated[str, typer.Option(help="Folder, Hub id, or the tiny base.")] = TINY_BASE_NAME,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    max_length: Annotated[int, typer.Option(min=128, help="Tokens of a full row.")] = 1024,
    seconds: Annotated[float, typer.Option(help="Time for each way in each round.")] = 1.5,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    cpu_time: Annotated[
        bool, typer.Option(help="Count processor time, for a machine with other work; use one thread.")
    ] = False,
    fill: Annotated[
        bool, typer.Option(help="Also compare ways to fill a batch; slow for real models.")
    ] = True,
    output: Annotated[Path, typer.Option(help="JSON file for the result.")] = Path("runs/bench_train.json"),
) -> None:
    """Measure, print one table, and write it as JSON."""
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    now = time.process_time if cpu_time else time.perf_counter
    shared = {"device": device, "max_length": max_length, "seconds": seconds, "now": now}
    console, step = Console(width=120), {}
    if device == "cpu":
        tokenizer = load_tokenizer(model)
        templates.install(tokenizer)
        rows = sequences(tokenizer, lengths=(0.5 * max_length, max_length))
        step = bench_step.measure(model, rows, tokenizer=tokenizer, rounds=rounds)
        bench_step.show(step, console=console)
    results = compare(model, rounds=rounds, shared=shared) if fill else {}
    if fill:
        show(results, max_length=max_length, console=console)
    output.parent.mkdir(parents=True, exist_ok=True)
    packages = ("torch", "transformers", "trl", "accelerate")
    setting = {
        "model": model,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "time": "processor" if cpu_time else "wall",
        "max_length": max_length,
        "versions": {package: version(package) for package in packages},
    }
    write_json({**setting, "step": step, "shapes": results}, output)


if __name__ == "__main__":
    typer.run(main)
