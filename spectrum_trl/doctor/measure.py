"""Train a recipe for a few steps in a process of its own, to measure its peak memory and its speed."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.doctor.plan import Rows
from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.strict.json import read_json

# Steps: one that creates the optimizer's state, one on the largest rows, and one whose time counts.
STEPS, TIMED = 3, 1
# More rows in a step need no more memory and are no faster.
MOST_ACCUMULATED = 2


class Measured(NamedTuple):
    """The result of a few steps.

    Attributes:
        peak: Most bytes in use: of the process on a CPU, allocated on a GPU.
        libraries: Bytes in use before the model was loaded.
        loaded: Most bytes in use until it was loaded and its trainer made.
        tokens_per_second: Tokens of one process, without padding.
        seconds_per_step: Mean time of the timed steps.
        steps: Number of steps trained.
    """

    peak: int
    libraries: int
    loaded: int
    tokens_per_second: float
    seconds_per_step: float
    steps: int


def measure(
    recipe: Recipe,
    mixture: Mixture,
    rows: Rows,
    *,
    tokenizer: PreTrainedTokenizerBase,
    words: Sequence[str],
    timeout: float,
) -> Measured:
    """Train a few steps in a child process, one of them on the largest rows.

    Args:
        recipe: The recipe.
        mixture: Its data.
        rows: Lengths of its rows, see `plan.rows_of`.
        tokenizer: Its tokenizer.
        words: The command-line options with which the recipe was read.
        timeout: Seconds after which the child is ended.

    Raises:
        UserError: If the child fails, with the last line that it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        chosen = _chosen(recipe, mixture, rows)
        mixture.dataset.select(chosen).save_to_disk(str(place / "rows"))
        tokenizer.save_pretrained(place / "tokenizer")
        write_json({"recipe": str(recipe.path), "words": list(words)}, place / "task.json")
        command = [sys.executable, "-m", "spectrum_trl.doctor.trial", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise UserError(
                f"the measured steps took longer than {timeout:.0f} s: use --no-measure"
            ) from None
        if done.returncode:
            raise UserError(f"the measured steps failed ({_reason(done)}); use --no-measure to go on without")
        return Measured(**read_json(place / "result.json"))


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}; 9 means that memory ran out"
    lines = done.stderr.strip().splitlines()
    return lines[-1][:400] if lines else f"exit code {done.returncode}"


def accumulated(recipe: Recipe) -> int:
    """Return the number of batches in a measured step."""
    return min(recipe.training.gradient_accumulation_steps, MOST_ACCUMULATED)


def _chosen(recipe: Recipe, mixture: Mixture, rows: Rows) -> np.ndarray:
    """Return the sequences to train on, the longest in the second step; packed, all are random."""
    training = recipe.training
    step = training.per_device_train_batch_size * accumulated(recipe)
    rng, size = np.random.default_rng(0), len(mixture.dataset)
    if training.packing:
        # Enough for so many full rows.
        per_row = -(-size // max(len(rows.tokens), 1)) + 1
        return rng.permutation(size)[: step * STEPS * per_row]
    longest = np.argsort(-rows.tokens, kind="stable")[:step]
    others = rng.choice(size, step * (STEPS - 1), replace=size < step * (STEPS - 1))
    return np.concatenate([others[:step], longest, others[step:]])


def trial_settings(recipe: Recipe, folder: Path) -> None:
    """Change a recipe to a few steps that save and evaluate nothing, in the order of their rows."""
    training: Any = recipe.training
    training.output_dir, training.max_steps = str(folder / "run"), STEPS
    training.gradient_accumulation_steps = accumulated(recipe)
    training.train_sampling_strategy = "sequential"
    training.save_strategy = training.eval_strategy = "no"
    training.load_best_model_at_end = training.eval_on_start = False
    training.report_to, training.resume_from_checkpoint = [], None
    training.logging_steps, training.disable_tqdm = STEPS, True
    recipe.run.early_stopping_patience, recipe.run.overwrite = None, True
