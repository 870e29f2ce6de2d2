"""A job that a scheduler ends saves its step first, and goes on as if it had not been stopped."""

import os
import random
import signal
import socket
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.processes import start_recipe
from tests.runs.conftest import TASKS, TINY_RUN
from tests.runs.test_stopping import LONGEST

# No checkpoint but the one that a signal asks for.
STEPS = 60
WORDS = [*TASKS, *TINY_RUN, "--save_strategy", "no", "--max_steps", str(STEPS)]
AUTO = ("--resume_from_checkpoint", "auto")


def same_weights(one: Path, other: Path) -> bool:
    found, expected = (load_file(folder / "model.safetensors") for folder in (one, other))
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


def step_of_log(log: Path) -> int:
    lines = log.read_text().splitlines() if log.exists() else []
    steps = [line.split("/")[0] for line in lines if line.startswith("step ")]
    return int(steps[-1].removeprefix("step ")) if steps else 0


def wait_for_step(log: Path, step: int) -> None:
    until = time.monotonic() + 300
    while step_of_log(log) < step and time.monotonic() < until:
        time.sleep(0.02)
    assert step_of_log(log) >= step, log.read_text()[-2000:]


@pytest.mark.slow
def test_a_run_stopped_by_signals_ends_in_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole = start_recipe(
        "recipes/demo.yaml", *WORDS, "--output_dir", tmp_path / "whole", output=tmp_path / "whole.log"
    )
    run, log = tmp_path / "run", tmp_path / "log"
    last = 0
    for number in (signal.SIGUSR1, signal.SIGTERM):
        log.write_text("")
        process = start_recipe("recipes/demo.yaml", *WORDS, *AUTO, "--output_dir", run, output=log)
        wait_for_step(log, last + 3)
        os.kill(process.pid, number)
        process.join(LONGEST)
        text = log.read_text()
        assert process.exitcode == 128 + number and "Traceback" not in text, text[-2000:]
        newest = max(int(folder.name.partition("-")[2]) for folder in run.glob("checkpoint-*"))
        assert last + 3 <= newest < STEPS and f"step {newest} of {STEPS}" in text.splitlines()[-1]
        assert not (run / "model.safetensors").exists()
        last = newest
    process = start_recipe("recipes/demo.yaml", *WORDS, *AUTO, "--output_dir", run, output=log)
    for each in (process, whole):
        each.join(LONGEST)
        assert each.exitcode == 0, log.read_text()[-2000:]
    assert same_weights(run, tmp_path / "whole")


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_after_the_same_step(tmp_path: Path) -> None:
    run, logs = tmp_path / "run", [tmp_path / f"log{rank}" for rank in range(2)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    long = [*WORDS, "--max_steps", "100000", "--output_dir", run]
    both = [
        start_recipe("recipes/demo.yaml", *long, output=log, RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank, log in enumerate(logs)
    ]
    try:
        wait_for_step(logs[0], 2)
        os.kill(both[1].pid, signal.SIGUSR1)
        for process in both:
            process.join(LONGEST)
            assert process.exitcode == 128 + signal.SIGUSR1, logs[0].read_text()[-2000:]
    finally:
        for process in both:
            process.kill()
    (checkpoint,) = run.glob("checkpoint-*")
    assert {file.name for file in checkpoint.glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
    assert checkpoint.name == f"checkpoint-{step_of_log(logs[0])}"


@pytest.mark.nightly
def test_twenty_kills_at_random_steps_lose_nothing(tmp_path: Path) -> None:
    chance = random.Random(0)
    words = [*WORDS, "--save_strategy", "steps", "--save_steps", "5"]
    whole = start_recipe(
        "recipes/demo.yaml", *words, "--output_dir", tmp_path / "whole", output=tmp_path / "whole.log"
    )
    whole.join(LONGEST)
    run, log = tmp_path / "run", tmp_path / "log"
    for _ in range(20):
        process = start_recipe("recipes/demo.yaml", *words, *AUTO, "--output_dir", run, output=log)
        process.join(chance.uniform(0, 20))
        if process.exitcode is None:
            os.kill(process.pid, chance.choice([signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL]))
        process.join(LONGEST)
    process = start_recipe("recipes/demo.yaml", *words, *AUTO, "--output_dir", run, output=log)
    process.join(LONGEST)
    assert process.exitcode == 0 and same_weights(run, tmp_path / "whole")
