"""Whole runs learn what they should; in a file of their own, so that two processes share the tests."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from spectrum_trl.paths import bundled
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.tiny import scores
from tests.processes import run_recipe

# The demo on less data and fewer held-out items, which each of its models is measured on.
N_ITEMS, N_PROMPTS = 20, 12
SCRIPT = f"""
from spectrum_trl.launch import launch
from spectrum_trl.tiny import evaluation_items
evaluation_items.URNS = evaluation_items.SEQUENCES = {N_ITEMS}
evaluation_items.PROMPTS = {N_PROMPTS}
launch("recipes/demo.yaml")
"""


@pytest.mark.slow
def test_a_short_demo_moves_every_axis_the_right_way(tmp_path: Path) -> None:
    out, script, record = tmp_path / "x", tmp_path / "demo.py", tmp_path / "all_tokens.json"
    script.write_text(SCRIPT)
    recorded = scores.load(bundled("recipes") / "demo_all_tokens.json")
    rows = {
        task: rows[: N_PROMPTS if task in scores.SAMPLES else N_ITEMS] for task, rows in recorded.rows.items()
    }
    scores.save(recorded.model_copy(update={"rows": rows}), record)
    caps = {name: options.max_sequences or 0 for name, options in read_recipe("demo").data.tasks.items()}
    tasks = json.dumps({name: {"max_sequences": max(30, cap // 8)} for name, cap in caps.items()})
    words = ["--max_steps", "150", "--tasks", tasks, "--recorded", record, "--output_dir", out]
    done = run_recipe(script, *words)
    assert done.returncode == 0, done.stderr
    before, after = (scores.load(out / f"{name}.json") for name in ("instruct", "tuned"))
    urn, ranges = scores.URN, scores.RANGES
    assert after.mean(urn, "js_divergence") < 0.6 * before.mean(urn, "js_divergence")
    for task in scores.SEQUENCES:
        late = slice(8, None)
        assert after.regret(task, late).mean() < before.regret(task, late).mean()
    assert after.mean(ranges, "yield_count") > before.mean(ranges, "yield_count")
    assert all(len(after.rows[task]) == N_ITEMS for task in (urn, *scores.SEQUENCES))
    assert "JS divergence" in done.stdout and (out / "curves.png").is_file()


@pytest.mark.slow
def test_real_sources_train_and_the_loss_falls(suite_data: Path, tmp_path: Path) -> None:
    words = ["--max_steps", "40", "--max_length", "256", "--logging_steps", "3"]
    words += ["--output_dir", str(tmp_path / "x")]
    done = run_recipe("recipes/real_cpu.yaml", *words, SPECTRUM_DATA=str(suite_data))
    assert done.returncode == 0, done.stderr
    for task in read_recipe("real_cpu").data.tasks:
        assert task in done.stdout
    losses = [float(loss) for loss in re.findall(r"^step .* loss ([0-9.]+)", done.stdout, re.MULTILINE)]
    assert len(losses) >= 10 and np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
