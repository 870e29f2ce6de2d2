"""`spectrum-trl eval`: results in lm-eval's format, finished tasks kept, mistakes in one message."""

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from spectrum_trl.evaluation.results import read_results
from tests.processes import run_command

TASKS = "spectrum_dist_states,spectrum_icl_cards"
SMALL = ["--limit", "3", "--metadata", "max_tokens=100,sequences=20", "--backend", "hf"]


def evaluate(output: Path, *words: str | Path, **environment: str) -> CompletedProcess[str]:
    command = ["eval", "spectrum-trl/tiny-base", "--output", output, *SMALL, *words]
    return run_command(*command, **environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("eval") / "out"
    done = evaluate(folder, "--tasks", TASKS)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_results_are_in_the_harness_own_format(finished) -> None:
    folder, done = finished
    (file,) = folder.glob("*/results_*.json")
    results = json.loads(file.read_text())
    assert set(results["results"]) == set(TASKS.split(","))
    assert results["results"]["spectrum_icl_cards"]["sequences,none"] == 3
    assert results["configs"]["spectrum_icl_cards"]["metadata"]["format"] == "spectrum"
    assert results["n-samples"]["spectrum_icl_cards"] == {"original": 20, "effective": 3}
    assert results["config"]["model"] == "hf" and results["config"]["metadata"]["max_tokens"] == 100
    read = read_results(folder)
    assert len(read.rows["spectrum_icl_cards"]["loss"]) == 3
    for shown in ("1/2 spectrum_dist_states", "2/2 spectrum_icl_cards", "js_divergence", "loss"):
        assert shown in done.stdout


def test_finished_tasks_are_kept_and_give_the_same_figures(finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "out")
    before = json.loads(next(folder.glob("*/results_*.json")).read_text())
    shutil.rmtree(next(path for path in folder.iterdir() if path.name != ".finished"))
    done = evaluate(folder, "--tasks", f"{TASKS},spectrum_dist_urn")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("kept from an earlier run") == 2 and "spectrum_dist_urn: 3 rows" in done.stdout
    after = json.loads(next(folder.glob("*/results_*.json")).read_text())
    for task in TASKS.split(","):
        assert after["results"][task] == before["results"][task]


@pytest.mark.parametrize("words", [["--format", "colon"], ["--limit", "2"], ["--metadata", "max_tokens=90"]])
def test_what_changes_the_figures_is_evaluated_again(finished, tmp_path: Path, words: list[str]) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "out")
    done = evaluate(folder, "--tasks", "spectrum_icl_cards", *words)
    assert done.returncode == 0, done.stderr
    assert "kept from an earlier run" not in done.stdout


def test_missing_data_are_listed_and_the_run_ends_well(tmp_path: Path) -> None:
    words = ["--tasks", "spectrum_dist_states,spectrum_icl_polis_vote", "--data-dir", tmp_path]
    done = evaluate(tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert "spectrum_icl_polis_vote: no figure, data missing: openData/*/summary.csv" in printed
    results = json.loads(next((tmp_path / "out").glob("*/results_*.json")).read_text())
    assert list(results["results"]) == ["spectrum_dist_states"]
    assert "spectrum_icl_polis_vote" in results["missing"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tasks", "spectrum_icl_cardz"], "nothing is named 'spectrum_icl_cardz'. Did you mean"),
        (["--tasks", "nowhere.yaml"], "nothing is named 'nowhere.yaml'"),
        (["--tasks", "spectrum_dist_urn", "--format", "chatt"], "Did you mean 'chat'?"),
        (["--tasks", "spectrum_dist_urn", "--format", "chat"], "chat needs a chat template"),
        (["--tasks", "spectrum_dist_urn", "--model-args", "max_length=20"], "but the model reads only 20"),
        (["--tasks", "spectrum_dist_urn", "--metadata", "samples=0"], "metadata: samples"),
    ],
)
def test_mistakes_are_one_clear_message(tmp_path: Path, words: list[str], told: str) -> None:
    done = evaluate(tmp_path / "out", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
