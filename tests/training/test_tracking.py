"""Weights & Biases gets the recipe, the picture of the losses and the best step, without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT


@pytest.mark.slow
def test_an_offline_run_holds_the_recipe_the_curves_and_the_best_step(tmp_path: Path) -> None:
    words = [
        "--tasks",
        '{"tiny_range": {"max_sequences": 20}}',
        "--held_out_share",
        "0.2",
        "--evaluate",
        "none",
    ]
    words += ["--eval_tasks", "coinflip", "--eval_max_sequences", "2", "--eval_strategy", "steps"]
    words += ["--eval_steps", "2", "--max_steps", "4", "--report_to", "wandb"]
    # Weights & Biases writes its file when an interpreter ends, which no forked process does.
    folder = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "WANDB_SILENT": "true",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "recipes/demo.yaml", *words, "--output_dir", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **folder}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tracked,) = tmp_path.glob("wandb/offline-run-*")
    assert list(tracked.glob("files/media/images/held-out loss*.png"))
    best = json.loads((tmp_path / "run" / "provenance.json").read_text())["held_out_loss"]
    content = next(tracked.glob("*.wandb")).read_bytes()
    wanted = [b"held_out_share", b"mixture_seed", b"best/step", json.dumps(best["value"]).encode()[:8]]
    assert [one for one in wanted if one not in content] == []


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "told"), [("online", "No API key"), ("offlin", "mode")])
def test_a_missing_key_is_found_before_anything_is_loaded(mode: str, told: str) -> None:
    code = "from spectrum_trl.training.tracking import login_problem; print(login_problem())"
    given = {name: value for name, value in os.environ.items() if name != "WANDB_API_KEY"}
    given |= {"WANDB_MODE": mode, "WANDB_SILENT": "true", "NETRC": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    said = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stderr
    assert told in said and "WANDB_MODE=offline" in said
