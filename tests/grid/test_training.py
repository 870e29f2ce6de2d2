"""Jobs that train: known by the record of their run, and resumed from its checkpoints."""

import shutil
from pathlib import Path

import pytest
import yaml

from spectrum_trl.grid.read import read_grid
from spectrum_trl.grid.states import State, look
from tests.processes import run_recipe

MATRIX = {
    "recipe": "demo",
    "evaluate": "none",
    "recorded": "",
    "tasks": [{"tiny_range": {"max_sequences": 32}}],
    "max_steps": [1, 2],
    "save_strategy": "steps",
    "save_steps": 1,
}


@pytest.mark.slow
def test_a_run_is_done_by_its_record_and_one_that_was_cut_short_is_resumed(tmp_path: Path) -> None:
    file, output = tmp_path / "runs.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump({"command": "train", "matrix": MATRIX, "output": str(output)}))
    jobs = read_grid(file).jobs
    _, job = jobs
    assert job.words[:2] == ("accelerate", "launch")
    done = run_recipe(job.words[2], *job.words[3:])
    assert done.returncode == 0, done.stderr
    assert [seen.state for seen in look(jobs, output=output).values()] == [State.WAITING, State.DONE]
    moved = job.folder.rename(output / "another_name")
    assert look(jobs, output=output)[job.name].state == State.DONE
    moved.rename(job.folder)

    # As if it had been killed before it saved the model.
    (job.output / "config.json").unlink()
    shutil.rmtree(job.output / "checkpoint-2")
    assert look(jobs, output=output)[job.name].state == State.WAITING
    done = run_recipe(job.words[2], *job.words[3:])
    assert done.returncode == 0 and "continuing from" in done.stdout, done.stderr
    assert look(jobs, output=output)[job.name].state == State.DONE
