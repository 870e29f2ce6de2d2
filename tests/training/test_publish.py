"""A model is published whole and without private files, with figures of its own evaluations, if it may be."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from spectrum_trl.errors import UserError
from spectrum_trl.training.publish import publish, stage
from tests.hub import Hub
from tests.processes import run_command, run_recipe
from tests.report.evaluations import write

Run = Callable[..., CompletedProcess[str]]
TASK = "spectrum_dist_states"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "run"
    words = ["--tasks", '{"tiny_range": {"max_sequences": 20}}', "--max_steps", "1", "--evaluate", "none"]
    words += ["--held_out_share", "0.2"]
    done = run_recipe("recipes/demo.yaml", *words, "--output_dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def results(run: Path) -> Path:
    folder = run.parent / "results"
    done = run_command("eval", str(run), "--tasks", TASK, "--output", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "staged").mkdir()
    return tmp_path / "staged"


@pytest.mark.slow
def test_stock_transformers_load_what_is_published_and_nothing_private_is_in_it(
    run: Path, target: Path
) -> None:
    staged = stage(run, target, repo="me/model", results=(), public=True)
    AutoModelForCausalLM.from_pretrained(target)
    assert "spectrum_template" in str(AutoTokenizer.from_pretrained(target).chat_template)
    assert {"README.md", "model.safetensors", "provenance.json"} <= set(staged.files)
    assert not {"recipe.yaml", "history.jsonl", "run_files.json"} & set(staged.files)
    assert all(str(run.parent) not in file.read_text("utf-8") for file in target.glob("*.json"))
    assert str(run.parent) not in (target / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_card_has_the_figures_of_the_runs_own_evaluation(run: Path, results: Path, target: Path) -> None:
    staged = stage(run, target, repo="me/model", results=[results], public=False)
    (file,) = results.glob("**/results_*.json")
    whole = json.loads(file.read_text())
    figures, provenance = whole["results"][TASK], json.loads((run / "provenance.json").read_text())
    assert whole["trained_on"] == sorted(count["task"] for count in provenance["data"]) != []
    assert whole["held_out_share"] == provenance["settings"]["held_out_share"] == 0.2
    published = json.loads((target / "provenance.json").read_text())
    assert published["settings"] == {"held_out_share": 0.2}
    card = ModelCard.load(target / "README.md")
    assert card.data.model_name == "model"
    known = {one.metric_type: one.metric_value for one in card.data.eval_results}
    assert known["log_loss"] == pytest.approx(figures["log_loss,none"])
    # A model after one step gives no state's name: its shares mean nothing.
    assert "js_divergence" not in known and staged.left_out == [f"{TASK}: js_divergence"]


@pytest.mark.slow
def test_figures_of_the_card_have_what_they_mean(run: Path, target: Path, tmp_path: Path) -> None:
    file = next(write(tmp_path / "results").glob("results_*"))
    whole = json.loads(file.read_text())
    whole["config"]["model_args"] = {"pretrained": str(run)}
    file.write_text(json.dumps(whole))
    stage(run, target, repo="me/model", results=[file], public=False)
    card = ModelCard.load(target / "README.md")
    found = {(one.dataset_type, one.metric_type): one for one in card.data.eval_results}
    loss, figures = found["spectrum_icl_coinflip", "loss"], whole["results"]["spectrum_icl_coinflip"]
    assert loss.dataset_args == {"format": "colon"} and loss.dataset_split == "trained on"
    assert loss.metric_args == {
        "n": 30,
        "low": figures["loss_low,none"],
        "high": figures["loss_high,none"],
        "baseline": "counting",
        "baseline_value": figures["counting_loss,none"],
    }
    shares = found["spectrum_dist_urn", "js_divergence"]
    assert shares.dataset_split == "held out" and shares.metric_args["baseline"] == "uniform guess"
    assert shares.metric_args["baseline_value"] == 0.5
    assert "\n### Steerability, trained on\n" in card.text
    assert "| js_divergence | 30 | 0.2534 [0.2414, 0.2655] skill 0.49 | uniform guess 0.5000 |" in card.text


@pytest.mark.slow
def test_a_figure_of_exactly_zero_is_in_the_card(run: Path, target: Path, tmp_path: Path) -> None:
    file = next(write(tmp_path / "results").glob("results_*"))
    whole = json.loads(file.read_text())
    whole["config"]["model_args"] = {"pretrained": str(run)}
    whole["results"]["spectrum_icl_coinflip"] |= {"loss,none": 0.0, "loss_low,none": 0.0}
    file.write_text(json.dumps(whole))
    staged = stage(run, target, repo="me/model", results=[file], public=False)
    assert ("spectrum_icl_coinflip", "loss", 0.0) in staged.figures
    found = {one.dataset_type: one for one in ModelCard.load(target / "README.md").data.eval_results}
    assert found["spectrum_icl_coinflip"].metric_args["low"] == 0.0


@pytest.mark.slow
def test_results_of_another_model_or_of_some_rows_are_refused(
    run: Path, results: Path, target: Path, tmp_path: Path
) -> None:
    (file,) = results.glob("**/results_*.json")
    whole = json.loads(file.read_text())
    for key, value, expected in (
        ("limit", 3, "3 rows"),
        ("metadata", {"samples": 5, "seed": 3}, "smaller tasks .samples=5.,"),
        ("model_args", {"pretrained": "x"}, "results of x"),
    ):
        changed = tmp_path / f"results_{key}.json"
        changed.write_text(json.dumps({**whole, "config": {**whole["config"], key: value}}))
        with pytest.raises(UserError, match=expected):
            stage(run, target, repo="me/model", results=[changed], public=False)
    (tmp_path / "results_bare.json").write_text(json.dumps(whole))
    with pytest.raises(UserError, match="no samples beside it, from which the card's tables are made"):
        stage(run, target, repo="me/model", results=[tmp_path / "results_bare.json"], public=False)
    (tmp_path / "results_broken.json").write_text('{"config": 3}')
    with pytest.raises(UserError, match="not a results file"):
        stage(run, target, repo="me/model", results=[tmp_path / "results_broken.json"], public=False)


@pytest.mark.slow
def test_data_whose_terms_forbid_it_are_named(run: Path, target: Path) -> None:
    record = run / "provenance.json"
    kept = record.read_text()
    changed = json.loads(kept)
    changed["data"] += [{**changed["data"][0], "task": name} for name in ("gpqa", "babynames")]
    record.write_text(json.dumps(changed))
    try:
        with pytest.raises(UserError) as caught:
            stage(run, target, repo="no owner", results=(), public=True)
    finally:
        record.write_text(kept)
    assert any("expected owner/name" in one for one in caught.value.problems)
    assert any("gpqa: its terms" in one for one in caught.value.problems)
    assert any("babynames: no licence" in one for one in caught.value.problems)
    assert not list(target.iterdir())


@pytest.mark.slow
def test_only_yes_publishes_and_a_public_repository_is_not_taken_for_a_private_one(
    run: Path, run_here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    shown = run_here("push", run, "me/model")
    assert shown.returncode == 0 and "nothing was published" in shown.stdout and not hub.calls
    done = run_here("push", run, "me/model", "--yes")
    assert "https://hub/commit/1" in done.stdout and "model.safetensors" in hub.uploaded
    assert hub.calls == [("me/model", {"repo_type": "model", "private": True, "exist_ok": True})]
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: Hub(private=False))
    with pytest.raises(UserError, match="--public"):
        publish(run, "me/model")


def test_a_folder_without_a_run_is_one_message(run_here: Run, tmp_path: Path) -> None:
    done = run_here("push", tmp_path, "me/model")
    assert done.returncode == 2 and "holds no finished run" in done.stderr
    done = run_here("push", tmp_path / "none", "me/model")
    assert done.returncode == 2 and "there is no folder" in done.stderr
