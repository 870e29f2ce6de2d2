"""Train the demo's recipe on a few rows, stop and go on, and print which rows each step saw, as JSON.

Run as ``rows.py FOLDER WORDS …``: for each words, an unbroken run of three epochs, and some that go on in the
first, at the end of the first, and in the third.
"""

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.training.train import train
from spectrum_trl.training.trainer import ResumableTrainer
from tests.processes import ROOT

seen: list[tuple[int, int]] = []
step_of_trl = ResumableTrainer.training_step
WORDS = "--copy_role_tokens_from  --evaluate none --save_strategy steps --save_steps 1 --num_train_epochs 3"
TASKS = '{"tiny_range": {"max_sequences": 21}}'


def training_step(self, model, inputs, *args, **kwargs):
    masks = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
    for row, mask in zip(inputs["input_ids"], masks, strict=True):
        seen.append((self.state.global_step, hash(tuple(row[mask.bool()].tolist()))))
    return step_of_trl(self, model, inputs, *args, **kwargs)


def rows(folder: Path, words: list[str]) -> dict[int, list[int]]:
    """Train, and return the rows of each step over all processes."""
    seen.clear()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        options = [*WORDS.split(" "), "--tasks", TASKS, "--output_dir", str(folder), *words]
        train(read_recipe(str(ROOT / "recipes/demo.yaml"), overrides=options))
    parts = [list(seen)] * PartialState().num_processes
    if len(parts) > 1:
        torch.distributed.all_gather_object(parts, list(seen))
    found: dict[int, list[int]] = {}
    for step, row in sorted(pair for part in parts for pair in part):
        found.setdefault(step, []).append(row)
    return found


def compare(folder: Path, words: list[str]) -> dict[str, object]:
    whole = rows(folder / "whole", words)
    steps = len(whole) // 3
    of_epochs = [
        [row for step in range(e * steps, e * steps + steps) for row in whole[step]] for e in range(3)
    ]
    other: dict[int, list[int]] = {}
    for stopped in (1, steps, 2 * steps + 1):
        run = folder / str(stopped)
        if PartialState().is_main_process:
            shutil.copytree(folder / "whole", run)
            for checkpoint in run.glob("checkpoint-*"):
                if int(checkpoint.name.split("-")[1]) > stopped:
                    shutil.rmtree(checkpoint)
        PartialState().wait_for_everyone()
        found = rows(run, [*words, "--resume_from_checkpoint", "last"])
        other[stopped] = [step for step in range(stopped, 3 * steps) if found.get(step) != whole[step]]
    return {"other rows": other, "rows of epochs": [sorted(set(epoch)) for epoch in of_epochs]}


if __name__ == "__main__":
    # The processes of one run train many times.
    ResumableTrainer.training_step, ResumableTrainer.end = training_step, lambda self: None
    place, *cases = sys.argv[1:]
    results = {case: compare(Path(place, str(n)), case.split()) for n, case in enumerate(cases)}
    print("RESULTS", json.dumps(results))
