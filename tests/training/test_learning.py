"""Whole runs learn what they should; in a file of their own, so that two processes share the tests."""

import re
from pathlib import Path

import numpy as np
import pytest

from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.tiny import scores
from tests.processes import run_recipe

DEMO = "recipes/demo.yaml"


@pytest.mark.slow
def test_a_short_demo_moves_every_axis_the_right_way(tmp_path: Path) -> None:
    out = tmp_path / "x"
    done = run_recipe(DEMO, "--max_steps", "250", "--output_dir", str(out))
    assert done.returncode == 0, done.stderr
    before, after = (scores.load(out / f"{name}.json") for name in ("instruct", "tuned"))
    urn, ranges = scores.URN, scores.RANGES
    assert after.mean(urn, "js_divergence") < 0.6 * before.mean(urn, "js_divergence")
    for task in scores.SEQUENCES:
        late = slice(8, None)
        assert after.regret(task, late).mean() < before.regret(task, late).mean()
    assert after.mean(ranges, "yield_count") > before.mean(ranges, "yield_count")
    assert "JS divergence" in done.stdout and (out / "curves.png").is_file()


@pytest.mark.slow
def test_real_sources_train_and_the_loss_falls(suite_data: Path, tmp_path: Path) -> None:
    words = ["--max_steps", "60", "--max_length", "512", "--logging_steps", "5"]
    words += ["--output_dir", str(tmp_path / "x")]
    done = run_recipe("recipes/real_cpu.yaml", *words, SPECTRUM_DATA=str(suite_data))
    assert done.returncode == 0, done.stderr
    for task in read_recipe("real_cpu").data.tasks:
        assert task in done.stdout
    losses = [float(loss) for loss in re.findall(r"^step .* loss ([0-9.]+)", done.stdout, re.MULTILINE)]
    assert len(losses) >= 10 and np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
