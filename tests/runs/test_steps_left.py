"""A run that is continued at its end trains nothing, and one that is to end earlier is refused."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

Run = Callable[..., subprocess.CompletedProcess[str]]
LAST = ("--resume_from_checkpoint", "last")


def test_a_run_that_is_continued_at_its_last_step_publishes_that_step(
    finished_run: Path, tiny_run: Run
) -> None:
    expected = load_file(finished_run / "model.safetensors")
    # What a full disk does to the final save.
    (finished_run / "model.safetensors").unlink()
    shutil.rmtree(finished_run / "checkpoint-2")
    done = tiny_run(finished_run, *LAST)
    assert done.returncode == 0, done.stderr
    assert "already at step 4" in done.stdout and "step 5" not in done.stdout
    assert [path.name for path in finished_run.glob("checkpoint-*")] == ["checkpoint-4"]
    found = load_file(finished_run / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("epochs", ["1", "0.5"])
def test_fewer_epochs_than_done_are_refused(epochs: str, tiny_run: Run, tmp_path: Path) -> None:
    words = ["--max_steps", "-1", "--save_strategy", "epoch"]
    assert tiny_run(tmp_path / "run", *words, "--num_train_epochs", "2").returncode == 0
    before = (tmp_path / "run" / "README.md").read_text()
    done = tiny_run(tmp_path / "run", *words, *LAST, "--num_train_epochs", epochs)
    assert done.returncode == 2 and "past step 10" in done.stderr and "2 or more" in done.stderr, done.stderr
    assert (tmp_path / "run" / "README.md").read_text() == before


def test_a_checkpoint_of_another_optimizer_is_one_clear_message(finished_run: Path, tiny_run: Run) -> None:
    file = finished_run / "checkpoint-4" / "optimizer.pt"
    state = torch.load(file)
    state["param_groups"] = state["param_groups"][:1]
    torch.save(state, file)
    done = tiny_run(finished_run, *LAST, "--max_steps", "5")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{finished_run / 'checkpoint-4'} does not fit this run" in done.stderr
