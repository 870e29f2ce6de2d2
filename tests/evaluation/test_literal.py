"""The literal commands of lm-eval and torchrun, in processes of their own and in another folder."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spectrum_trl.paths import TINY_BASE
from tests.messages import named
from tests.processes import run_command

BIN = Path(sys.executable).parent
# A row in every process, in one of two, and several.
SHARED = (
    "spectrum_div_rng_1_100,spectrum_dist_states,spectrum_dist_urn,spectrum_icl_cards,spectrum_icl_polis_vote"
)
SMALL = ["--limit", "3", "--metadata", "max_tokens=100,sequences=20,samples=5"]


def run(*words: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(word) for word in words]
    env = {name: value for name, value in os.environ.items() if name != "SPECTRUM_DATA"} | environment
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)


def results(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("**/results_*.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.slow
def test_missing_data_do_not_end_a_run_of_stock_lm_eval(tmp_path: Path) -> None:
    words = ["--model", "hf", "--model_args", f"pretrained={TINY_BASE}", "--limit", "2"]
    words += ["--tasks", "spectrum_dist_nytimes,spectrum_dist_urn,spectrum_div_car_brand"]
    (tmp_path / "empty").mkdir()
    done = run(
        BIN / "lm_eval", *words, "--output_path", "out", cwd=tmp_path, SPECTRUM_DATA=str(tmp_path / "empty")
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert named(done.stderr, "spectrum_dist_nytimes", "not evaluated", "missing")
    assert "spectrum_dist_urn: format colon" in done.stderr
    found = results(tmp_path)["results"]
    assert found["spectrum_dist_urn"]["items,none"] == 2
    assert not any("," in key for key in found["spectrum_dist_nytimes"])


@pytest.mark.slow
def test_processes_give_the_figures_that_one_gives(tmp_path: Path) -> None:
    words = ["eval", "spectrum-trl/tiny-base", "--device", "cpu", "--tasks", SHARED, *SMALL, "--output"]
    launch = [BIN / "torchrun", "--standalone", "--nproc_per_node=2", "--no-python", BIN / "spectrum-trl"]
    environment = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    alone = run_command(*words, "one", cwd=tmp_path, **environment)
    shared = run(*launch, *words, "two", cwd=tmp_path, **environment)
    for done in (alone, shared):
        assert done.returncode == 0, done.stderr[-3000:]
    assert "2 processes" not in alone.stdout and "2 processes" in shared.stdout
    one, two = (results(tmp_path / name)["results"] for name in ("one", "two"))
    assert one.keys() == two.keys() == set(SHARED.split(",")[:4])
    for task in one:
        assert one[task].keys() == two[task].keys()
        for name, value in one[task].items():
            if isinstance(value, float):
                assert two[task][name] == pytest.approx(value, rel=1e-5, abs=1e-6, nan_ok=True), (task, name)
