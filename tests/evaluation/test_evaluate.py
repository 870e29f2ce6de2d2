"""`spectrum-trl eval`: results in lm-eval's format, finished tasks kept, mistakes in one message."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.evaluate import load
from spectrum_trl.evaluation.results import read_results
from spectrum_trl.paths import TINY_BASE
from tests.processes import run_command
from tests.scoring.test_store import full_disk

TASKS = "spectrum_dist_states,spectrum_icl_cards"
SMALL = ["--limit", "3", "--metadata", "max_tokens=100,sequences=20,samples=5"]


CHEESES = """
task: cheeses
class: !function spectrum_trl.evaluation.diversity.Diversity
spectrum:
  description: A kind of cheese
  examples: [Brie]
  validator: {list: [Brie, Gouda]}
"""


def evaluate(output: Path, *words: str | Path, **environment: str) -> CompletedProcess[str]:
    command = ["eval", "spectrum-trl/tiny-base", "--format", "spectrum", "--output", output, *SMALL, *words]
    return run_command(*command, **environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("eval") / "out"
    done = evaluate(folder, "--tasks", TASKS)
    assert done.returncode == 0, done.stderr
    return folder, done


QUIZ = """
task: quiz
dataset_path: json
dataset_kwargs: {data_files: {test: ROWS}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
doc_to_choice: [" yes", " no"]
metric_list: [{metric: acc}, {metric: acc_norm}]
"""


def test_a_task_of_lm_evals_own_is_in_the_table_with_its_standard_error(tmp_path: Path) -> None:
    rows = [{"q": f"Is {n} even?", "a": n % 2} for n in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "quiz.yaml").write_text(QUIZ.replace("ROWS", str(tmp_path / "rows.jsonl")))
    words = ["--format", "colon", "--output", tmp_path / "out", "--tasks", tmp_path / "quiz.yaml"]
    done = run_command("eval", "spectrum-trl/tiny-base", *words)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out").glob("*/results_*.json")
    figures = json.loads(file.read_text())["results"]["quiz"]
    acc, error = (f"{figures[name]:.4f}" for name in ("acc,none", "acc_stderr,none"))
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("│ quiz"))
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:5] == ["quiz", "6", "acc", acc, f"standard error {error}"] and "acc_norm" in cells[5]
    assert f"quiz: acc {acc}" in done.stdout


def test_results_are_in_the_harness_own_format(finished) -> None:
    folder, done = finished
    (file,) = folder.glob("*/results_*.json")
    results = json.loads(file.read_text())
    assert set(results["results"]) == set(TASKS.split(","))
    assert results["results"]["spectrum_icl_cards"]["sequences,none"] == 3
    assert results["configs"]["spectrum_icl_cards"]["metadata"]["format"] == "spectrum"
    assert results["n-samples"]["spectrum_icl_cards"] == {"original": 20, "effective": 3}
    assert results["config"]["model"] == "spectrum" and results["config"]["metadata"]["max_tokens"] == 100
    read = read_results(folder)
    assert len(read.rows["spectrum_icl_cards"]["loss"]) == 3
    for shown in (
        "1/2 spectrum_dist_states: 1 row, format spectrum",
        "2/2 spectrum_icl_cards",
        "js_divergence",
    ):
        assert shown in done.stdout
    assert (
        f"format spectrum, {results['configs']['spectrum_icl_cards']['metadata']['k']} examples"
        in done.stdout
    )


def test_finished_tasks_are_kept_and_give_the_same_figures(finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "out")
    before = json.loads(next(folder.glob("*/results_*.json")).read_text())
    shutil.rmtree(next(path for path in folder.iterdir() if path.name != ".finished"))
    done = evaluate(folder, "--tasks", f"{TASKS},spectrum_dist_urn")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cached by an earlier run") == 2 and "spectrum_dist_urn: 3 rows" in done.stdout
    after = json.loads(next(folder.glob("*/results_*.json")).read_text())
    for task in TASKS.split(","):
        assert after["results"][task] == before["results"][task]


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--format", "colon"], ["--limit", "2"], ["--metadata", "max_tokens=90"]])
def test_what_changes_the_figures_is_evaluated_again(finished, tmp_path: Path, words: list[str]) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "out")
    done = evaluate(folder, "--tasks", "spectrum_icl_cards", *words)
    assert done.returncode == 0, done.stderr
    assert "cached by an earlier run" not in done.stdout


def test_missing_data_are_listed_and_the_run_ends_well(tmp_path: Path) -> None:
    words = ["--tasks", "spectrum_dist_states,spectrum_icl_polis_vote", "--data-dir", tmp_path]
    done = evaluate(tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert "spectrum_icl_polis_vote: no score, missing data: openData/*/summary.csv" in printed
    results = json.loads(next((tmp_path / "out").glob("*/results_*.json")).read_text())
    assert list(results["results"]) == ["spectrum_dist_states"]
    assert "spectrum_icl_polis_vote" in results["missing"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--tasks", "spectrum_icl_cardz"],
            "no task, tag or file is named 'spectrum_icl_cardz'. Did you mean",
        ),
        (["--tasks", "nowhere.yaml"], "no task, tag or file is named 'nowhere.yaml'"),
        (["--tasks", "spectrum_dist_urn", "--format", "chatt"], "Did you mean 'chat'?"),
        (["--tasks", "spectrum_dist_urn", "--format", "chat"], "chat needs a chat template"),
        (["--tasks", "spectrum_dist_urn", "--model-args", "max_length=20"], "but the model's context is 20"),
        (["--tasks", "spectrum_dist_urn", "--metadata", "samples=0"], "metadata: samples"),
        (["--tasks", "spectrum_dist_urn", "--metadata", "sampels=3"], "Did you mean 'samples'?"),
        (
            ["--tasks", "spectrum_dist_urn", "--metadata", "pretrained=m"],
            "metadata: pretrained is an argument of the model",
        ),
        (["--tasks", ","], "tasks: none is given"),
        (["--tasks", "spectrum_dist_urn", "--include-path", "/nowhere"], "/nowhere is not a folder of tasks"),
        (["--tasks", "spectrum_icl_polis_vote", "--data-dir", "/nowhere"], "/nowhere is not a folder"),
        (["--tasks", "spectrum_dist_urn", "--model-args", "trust_remote_code=true"], "is not supported"),
    ],
)
def test_mistakes_are_one_clear_message(tmp_path: Path, words: list[str], told: str) -> None:
    done = evaluate(tmp_path / "out", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
    assert "spectrum_dist_urn: spectrum_dist_urn:" not in done.stderr


def own(folder: Path, text: str = CHEESES, name: str = "cheeses.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def share_valid(output: Path) -> float:
    file = max(output.glob("*/results_*.json"), key=lambda file: file.name)
    return json.loads(file.read_text())["results"]["cheeses"]["share_valid,none"]


@pytest.mark.slow
def test_a_task_that_was_changed_is_evaluated_again(tmp_path: Path) -> None:
    out, file = tmp_path / "out", own(tmp_path)
    assert evaluate(out, "--tasks", file).returncode == 0 and share_valid(out) == 0
    own(tmp_path, CHEESES.replace("{list: [Brie, Gouda]}", "{function: 'any_cheese:valid'}"))
    (tmp_path / "any_cheese.py").write_text("def valid(text):\n    return True\n")
    done = evaluate(out, "--tasks", file)
    assert done.returncode == 0 and "cached" not in done.stdout and share_valid(out) == 1
    (tmp_path / "any_cheese.py").write_text("def valid(text):\n    return text == 'Brie'\n")
    assert "cached" not in evaluate(out, "--tasks", file).stdout


def test_another_seed_draws_other_samples(tmp_path: Path) -> None:
    words = ["eval", "spectrum-trl/tiny-base", "--tasks", "spectrum_div_rng_1_100"]
    drawn = []
    for n, seed in enumerate((1, 2, 1)):
        out = tmp_path / str(n)
        done = run_command(*words, "--output", out, "--metadata", f"seed={seed},samples=12")
        assert done.returncode == 0, done.stderr
        (row,) = map(json.loads, next(out.glob("*/samples_*.jsonl")).read_text().splitlines())
        drawn.append(row["resps"])
    assert drawn[0] == drawn[2] != drawn[1]


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    files = f"{own(tmp_path)},{own(tmp_path, name='again.yaml')}"
    done = evaluate(tmp_path / "out", "--tasks", files)
    assert done.returncode == 2 and "several are named cheeses" in done.stderr


def test_a_task_that_fails_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def valid(text):\n    return text == 'Brie' or 1 / 0\n")
    file = own(tmp_path, CHEESES.replace("{list: [Brie, Gouda]}", "{function: 'broken:valid'}"))
    done = evaluate(tmp_path / "out", "--tasks", f"{file},spectrum_dist_states")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "cheeses: validator: it fails on" in " ".join(done.stderr.split())
    results = json.loads(next((tmp_path / "out").glob("*/results_*.json")).read_text())
    assert list(results["results"]) == ["spectrum_dist_states"]


@pytest.mark.parametrize("text", ["", "{}", "null", "{"])
def test_what_is_kept_but_damaged_is_evaluated_again(finished, tmp_path: Path, text: str) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "out")
    for file in (folder / ".finished").glob("*.json"):
        file.write_text(text)
    done = evaluate(folder, "--tasks", "spectrum_dist_states")
    assert done.returncode == 0 and "cached by" not in done.stdout, done.stderr


def test_a_damaged_store_of_answers_is_begun_anew_and_edited_figures_are_not_believed(
    finished, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "out")
    before = json.loads(next(folder.glob("*/results_*.json")).read_text())["results"]
    for file in (folder / ".finished").iterdir():
        if file.suffix != ".json":
            file.write_bytes(b"no database")
        elif "states" in file.name:
            kept = json.loads(file.read_text())
            kept["value"]["results"]["spectrum_dist_states"]["coverage,none"] = 0.5
            file.write_text(json.dumps(kept))
    done = evaluate(folder, "--tasks", TASKS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cached by an earlier run") == 1
    newest = max(folder.glob("*/results_*.json"), key=lambda file: file.name)
    assert json.loads(newest.read_text())["results"] == before


def test_fresh_reads_nothing_that_was_kept(finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "out")
    done = evaluate(folder, "--tasks", "spectrum_dist_states", "--fresh")
    assert done.returncode == 0 and "cached" not in done.stdout and "1 row" in done.stdout, done.stderr


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_results_are_strict_json_name_their_precision_and_mark_low_coverage(finished) -> None:
    folder, done = finished
    for file in folder.rglob("*.json*"):
        for line in file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]:
            json.loads(line, parse_constant=no_constant)
    results = json.loads(next(folder.glob("*/results_*.json")).read_text())
    assert results["config"]["dtype"] == "float32" and "(spectrum, float32)" in done.stdout
    states = results["results"]["spectrum_dist_states"]
    assert states["coverage,none"] < 1e-6 and states["low_coverage,none"] == 1
    assert states["log_loss,none"] > states["uniform_log_loss,none"]
    assert "(low coverage)" in done.stdout and "coverage 0.0000" not in done.stdout
    # Outside of a clone, git would complain for each task; bars are for terminals.
    assert "fatal" not in done.stderr and "it/s" not in done.stderr


def test_weights_that_are_not_finite_give_one_message_and_finished_tasks_are_kept(tmp_path: Path) -> None:
    model, out = shutil.copytree(TINY_BASE, tmp_path / "model"), tmp_path / "out"
    words = ["eval", model, "--output", out, *SMALL, "--tasks"]
    tensors = load_file(model / "model.safetensors")
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, model / "model.safetensors")
    for more in ([], ["--backend", "hf"]):
        done = run_command(*words, TASKS, *more)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert done.stderr.count("hold NaN or infinity, for example") == 1
    assert not list(out.glob("*/results_*.json"))


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_written_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = ["--tasks", f"spectrum_dist_states,{TASKS}"]
    command = [Path(sys.executable).with_name("spectrum-trl"), "eval", "spectrum-trl/tiny-base", *words]
    command += ["--format", "spectrum", "--output", tmp_path / "out", *SMALL]
    # The server that tests fork their processes from has its limits already.
    with full_disk(40_000):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr and "make room" in done.stderr
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert evaluate(tmp_path / "out", *words).returncode == 0


@pytest.mark.slow
def test_another_tokenizer_or_configuration_is_another_model(tmp_path: Path) -> None:
    model = shutil.copytree(TINY_BASE, tmp_path / "model")
    words = ["eval", model, "--output", tmp_path / "out", *SMALL, "--tasks", "spectrum_icl_cards"]
    assert run_command(*words).returncode == 0
    assert "cached" in run_command(*words).stdout
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert "cached" not in run_command(*words).stdout


@pytest.mark.parametrize("left_out", [False, True])
def test_figures_say_that_their_answers_were_trained_on_unless_the_recipe_left_them_out(
    left_out: bool, tmp_path: Path
) -> None:
    model, output = shutil.copytree(TINY_BASE, tmp_path / "model"), tmp_path / "out"
    dropped = {"list of an evaluation's answers": 10} if left_out else {}
    counts = [{"task": "diffuse_distribution", "dropped": dropped}, {"task": "cards", "dropped": {}}]
    (model / "provenance.json").write_text(json.dumps({"data": counts}))
    tasks = "spectrum_div_rng_1_10,spectrum_div_random_seed"
    # A cached task says so too.
    for _ in range(2):
        done = run_command("eval", model, "--output", output, *SMALL, "--tasks", tasks)
        assert done.returncode == 0, done.stderr
        said = "answers in the training data: diffuse_distribution"
        assert (said in " ".join(done.stdout.replace("│", " ").split())) != left_out
    found = read_results(output)
    assert found.trained_on == {"cards", "diffuse_distribution"}
    assert found.answers_trained_on.get("spectrum_div_rng_1_10") == (
        None if left_out else ["diffuse_distribution"]
    )
    assert "spectrum_div_random_seed" not in found.answers_trained_on


def test_a_damaged_record_of_training_is_told_once_and_the_model_evaluated(tmp_path: Path) -> None:
    model = shutil.copytree(TINY_BASE, tmp_path / "model")
    (model / "provenance.json").write_text('{"data": [{"task": "cards"}')
    tasks = "spectrum_icl_cards,spectrum_div_rng_1_10"
    done = run_command("eval", model, "--output", tmp_path / "out", *SMALL, "--tasks", tasks)
    assert (done.returncode, done.stderr.count("provenance.json is damaged")) == (0, 1), done.stderr
    assert read_results(tmp_path / "out").trained_on is None


def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    model = shutil.copytree(TINY_BASE, tmp_path / "model")
    tensors = load_file(model / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "layers.0.mlp" not in k}, model / "model.safetensors")
    words = ["eval", model, "--output", tmp_path / "out", *SMALL, "--tasks", "spectrum_icl_cards"]
    done = run_command(*words)
    assert done.returncode == 2 and "are missing" in done.stderr and "Traceback" not in done.stderr


def test_a_model_class_that_lm_eval_does_not_have_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--backend: lm-eval has no model class 'spectrumm'"):
        load("spectrumm", {"pretrained": "x"}, store=tmp_path / "a", fresh=False)


@pytest.mark.slow
def test_drawn_shares_of_a_real_model_are_its_probabilities_but_for_noise(tmp_path: Path) -> None:
    found = {}
    for how in ("probabilities", "drawn"):
        options = ["--metadata", f"elicit={how},samples=200,sequences=5", "--output", tmp_path / how]
        words = ["--tasks", "spectrum_dist_urn", "--format", "chat", *options]
        done = run_command("eval", "spectrum-trl/tiny-instruct", *words)
        assert done.returncode == 0, done.stderr
        found[how] = read_results(tmp_path / how)
    scored, drawn = (one.rows["spectrum_dist_urn"] for one in found.values())
    # Of few valid answers, the shares are all noise.
    rows = [key for key, value in scored["coverage"].items() if value.mean > 0.3]
    assert len(rows) >= 2
    for name, within in {"coverage": 0.15, "js_divergence": 0.08, "total_variation": 0.15}.items():
        expected = [scored[name][key].mean for key in rows]
        assert [drawn[name][key].mean for key in rows] == pytest.approx(expected, abs=within)
    assert found["drawn"].formats == {"spectrum_dist_urn": "chat, drawn"}
    # Its own likeliest answer nine times in ten is far from the urn, beyond the noise of 200 draws.
    assert np.mean([value.mean for value in drawn["excess_total_variation"].values()]) > 0.3
