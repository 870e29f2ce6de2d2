"""Signals end a run, all of its processes, and with one line."""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from spectrum_trl.paths import bundled
from spectrum_trl.recipe.recipe_file import LAUNCH_LINE
from tests.processes import ROOT, start_recipe
from tests.runs.conftest import TASKS, TINY_RUN

LONG = [*TASKS, *TINY_RUN, "--max_steps", "100000", "--save_total_limit", "1"]


# Seconds after which a process that should have ended has not.
LONGEST = 120


def wait_for(path: Path) -> None:
    until = time.monotonic() + 300
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert path.exists()


def test_ctrl_c_is_one_line_that_says_how_to_go_on(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "run"
    process = start_recipe("recipes/demo.yaml", *LONG, "--output_dir", out, output=log)
    wait_for(out / "checkpoint-6")
    os.kill(process.pid, signal.SIGINT)
    process.join(LONGEST)
    text = log.read_text()
    assert process.exitcode == 130 and "Traceback" not in text, text[-2000:]
    assert text.splitlines()[-1].startswith("stopped:") and "`--resume_from_checkpoint last`" in text


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_command_ends_the_process_that_trains(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    log, out = tmp_path / "log", tmp_path / "run"
    command = start_recipe("spectrum-trl", "train", "demo", *LONG, "--output_dir", out, output=log)
    wait_for(out / "checkpoint-6")
    children = psutil.Process(command.pid).children(recursive=True)
    os.kill(command.pid, number)
    command.join(LONGEST)
    assert command.exitcode == code and "Traceback" not in log.read_text(), log.read_text()[-2000:]
    assert children and not any(child.is_running() for child in children)
    # What accelerate would say of its own options.
    assert "not passed" not in log.read_text()


def test_a_recipe_that_a_spawned_worker_imports_again_does_not_train_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shutil.copyfile(bundled("recipes") / "demo.yaml", tmp_path / "demo.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(recipe)])
    runpy.run_path(str(recipe), run_name="__mp_main__")
    assert [path.name for path in tmp_path.iterdir()] == ["demo.yaml"]


@pytest.mark.slow
def test_workers_that_are_spawned_load_data(tmp_path: Path) -> None:
    recipe, text = tmp_path / "demo.yaml", (ROOT / "recipes/demo.yaml").read_text()
    spawning = 'launch: any; import multiprocessing as m; m.set_start_method("spawn", force=True); '
    recipe.write_text(text.replace(LAUNCH_LINE, spawning + LAUNCH_LINE.removeprefix("launch: any; ")))
    words = [*TASKS, *TINY_RUN, "--max_steps", "2", "--dataloader_num_workers", "1"]
    command = [sys.executable, str(recipe), *words, "--output_dir", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "in use" not in done.stderr, done.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()
