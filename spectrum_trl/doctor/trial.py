"""The child process of `spectrum_trl.doctor.measure`: ``python -m spectrum_trl.doctor.trial FOLDER``."""

import resource
import sys
import time
from pathlib import Path
from typing import Any, cast

import psutil
import torch
from datasets import Dataset, load_from_disk
from transformers import TrainerCallback

from spectrum_trl.console import console, quiet_libraries
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.doctor.measure import STEPS, TIMED, Measured, trial_settings
from spectrum_trl.errors import user_errors
from spectrum_trl.files import write_json
from spectrum_trl.models.load import load_tokenizer
from spectrum_trl.progress import quiet_when_piped
from spectrum_trl.prompts import templates
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.runs.run_folder import RunFolder
from spectrum_trl.strict.json import read_json
from spectrum_trl.training.model import starting_model
from spectrum_trl.training.trainer import make_trainer

STATUS = Path("/proc/self/status")


def peak() -> int:
    """Return the most bytes in use so far: allocated on a GPU, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if STATUS.is_file():
        # Unlike that of getrusage, it does not include the process that this one was forked from.
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class _Clock(TrainerCallback):
    """Notes the time after each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def trial(folder: Path) -> Measured:
    """Train the recipe that a folder describes for a few steps.

    Args:
        folder: With the files that `measure` writes.
    """
    task = read_json(folder / "task.json")
    recipe = read_recipe(task["recipe"], overrides=task["words"])
    trial_settings(recipe, folder)
    tokenizer = load_tokenizer(str(folder / "tokenizer"))
    family = templates.install(tokenizer)
    mixture = Mixture(cast(Dataset, load_from_disk(str(folder / "rows"), keep_in_memory=True)), [], {})
    libraries = 0 if torch.cuda.is_available() else psutil.Process().memory_info().rss
    out = console(stderr=True)
    model = starting_model(recipe, tokenizer=tokenizer, family=family, out=out)
    run = RunFolder(recipe, is_main=False)
    trainer = make_trainer(recipe, model=model, tokenizer=tokenizer, mixture=mixture, folder=run)
    loaded, clock = peak(), _Clock()
    trainer.add_callback(clock)
    trainer.train()
    rows = [len(ids) for ids in cast(Dataset, trainer.train_dataset)["input_ids"]]
    step = recipe.training.per_device_train_batch_size * recipe.training.gradient_accumulation_steps
    tokens = sum(rows[(STEPS - TIMED) * step : STEPS * step])
    elapsed = clock.times[-1] - clock.times[-1 - TIMED]
    return Measured(peak(), libraries, loaded, tokens / elapsed, elapsed / TIMED, len(clock.times))


def main() -> None:
    """Run the trial in the folder of the first argument, and write its result there."""
    quiet_libraries()
    quiet_when_piped()
    folder = Path(sys.argv[1])
    with user_errors():
        write_json(trial(folder)._asdict(), folder / "result.json")


if __name__ == "__main__":
    main()
