"""Held-out losses while training: their values, what they stop, and what they leave alone."""

import json
import random
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from spectrum_trl.data.mixture import build_mixture
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.paths import TINY_BASE
from spectrum_trl.prompts import templates
from spectrum_trl.recipe.arguments import DataArguments
from tests.messages import named
from tests.processes import run_processes, run_recipe

MIXTURE: dict[str, Any] = {
    "tasks": {"tiny_range": {"max_sequences": 40}, "coinflip": {"max_sequences": 20}},
    "eval_tasks": {"zipfian": {"max_sequences": 5}},
    "held_out_share": 0.1,
    "eval_max_sequences": 6,
}
WORDS = [
    "--copy_role_tokens_from", "",
    "--evaluate", "none",
    "--per_device_train_batch_size", "4",
    "--per_device_eval_batch_size", "4",
    "--lr_scheduler_type", "constant",
    "--logging_steps", "1",
    "--eval_strategy", "steps",
    "--max_length", "128",
]  # fmt: skip
EVERY_TWO = ["--max_steps", "6", "--eval_steps", "2", "--save_strategy", "steps", "--save_steps", "2"]


def given(mixture: dict[str, Any]) -> list[str]:
    return [word for name, value in mixture.items() for word in (f"--{name}", json.dumps(value))]


def run(folder: Path, *words: str, mixture: dict[str, Any] = MIXTURE) -> CompletedProcess[str]:
    return run_recipe("recipes/demo.yaml", *WORDS, *given(mixture), "--output_dir", folder, *words)


def log_of(checkpoint: Path) -> list[dict[str, Any]]:
    return json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]


def evaluations(checkpoint: Path) -> list[dict[str, float]]:
    return [
        {name: entry[name] for name in entry if name == "step" or name.endswith("_loss")}
        for entry in log_of(checkpoint)
        if "eval_loss" in entry
    ]


def expected_losses() -> dict[str, float]:
    """Score the held-out sequences with the base model, one by one, token by token."""
    tokenizer, model = load_tokenizer(str(TINY_BASE)), load_model(str(TINY_BASE)).eval()
    templates.install(tokenizer)
    data = DataArguments(**MIXTURE, description_probability=0.8)
    mixture = build_mixture(data, tokenizer=tokenizer, max_length=128, evaluates=True)
    means = {}
    for task, rows in mixture.held_out.items():
        losses = []
        for row in rows:
            with torch.no_grad():
                logits = model(torch.tensor([row["input_ids"]])).logits[0].double()
            for place, (token, trained) in enumerate(
                zip(row["input_ids"], row["assistant_masks"], strict=True)
            ):
                if trained:
                    losses.append(-float(logits[place - 1].log_softmax(-1)[token]))
        means[f"eval_{task}_loss"] = sum(losses) / len(losses)
    return {"eval_loss": sum(means.values()) / len(means), **means}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run(folder, *EVERY_TWO)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_losses_are_means_over_the_trained_tokens_of_each_task(whole: Path) -> None:
    first, *later = evaluations(whole / "checkpoint-6")
    assert first == pytest.approx({"step": 0, **expected_losses()}, rel=1e-5)
    assert [one["step"] for one in later] == [2, 4, 6]


@pytest.mark.slow
def test_several_processes_and_packed_training_measure_the_same(whole: Path, tmp_path: Path) -> None:
    words = [*WORDS, *given(MIXTURE), *EVERY_TWO, "--max_steps", "2"]
    (first, *_) = evaluations(whole / "checkpoint-6")
    for name, own in (("two", []), ("packed", ["--packing", "true", "--per_device_train_batch_size", "1"])):
        done = run_processes(2, "recipes/demo.yaml", *words, *own, "--output_dir", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert evaluations(tmp_path / name / "checkpoint-2")[0] == pytest.approx(first, rel=1e-5)


def test_the_best_step_is_named_recorded_and_drawn(whole: Path) -> None:
    found = evaluations(whole / "checkpoint-6")
    best = min(found, key=lambda one: one["eval_loss"])
    record = json.loads((whole / "provenance.json").read_text())
    assert record["held_out_loss"] == {
        "metric": "eval_loss",
        "step": best["step"],
        "value": best["eval_loss"],
        "last": found[-1]["eval_loss"],
        "saved_step": 6,
    }
    assert [count["task"] for count in record["held_out"]] == ["tiny_range", "coinflip", "zipfian"]
    with Image.open(whole / "loss.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").getcolors(10**6) or []) > 50
    assert "loss.png" in json.loads((whole / "run_files.json").read_text())


def test_evaluations_do_not_change_what_is_trained(whole: Path, tmp_path: Path) -> None:
    words = WORDS[: WORDS.index("--eval_strategy")] + ["--max_length", "128", "--max_steps", "6"]
    own = {name: value for name, value in MIXTURE.items() if not name.startswith("eval_")}
    done = run_recipe("recipes/demo.yaml", *words, *given(own), "--output_dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, tmp_path / "run"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_a_killed_and_resumed_run_ends_with_the_same_curves(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    for name in ("checkpoint-4", "checkpoint-6"):
        shutil.rmtree(folder / name)
    done = run(folder, *EVERY_TWO, "--resume_from_checkpoint", "last")
    assert done.returncode == 0, done.stderr
    assert evaluations(folder / "checkpoint-6") == evaluations(whole / "checkpoint-6")
    before, after = (json.loads((one / "provenance.json").read_text()) for one in (whole, folder))
    assert before["held_out_loss"] == after["held_out_loss"]


def opinions(folder: Path) -> Path:
    """Write a table of 40 people whose answers are noise, which can be learnt by heart only."""
    rng = random.Random(0)
    rows = [f"{n},word {rng.randrange(10**6)},{rng.choice('abcd')}" for n in range(40) for _ in range(3)]
    (folder / "a.csv").write_text("\n".join(["user,word,answer", *rows]))
    keys = "{file: a.csv, group_by: user, input: word, output: answer, descriptions: [Noise.]}"
    (folder / "noise.yaml").write_text(f"task: noise\nspectrum: {keys}\n")
    return folder / "noise.yaml"


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_overfits_and_saves_its_best_step(tmp_path: Path) -> None:
    mixture = {"tasks": {str(opinions(tmp_path)): {}}, "held_out_share": 0.4}
    words = ["--learning_rate", "3e-3", "--max_steps", "400", "--eval_steps", "10", "--save_steps", "10"]
    words += [
        "--save_strategy",
        "steps",
        "--load_best_model_at_end",
        "true",
        "--early_stopping_patience",
        "2",
    ]
    folder = tmp_path / "run"
    done = run(folder, *words, mixture=mixture)
    assert done.returncode == 0, done.stderr
    last = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    found = evaluations(last)
    best = min(found[1:], key=lambda one: one["eval_loss"])
    assert found[-1]["step"] == best["step"] + 20 < 400
    losses = [entry["loss"] for entry in log_of(last) if "loss" in entry]
    assert losses[-1] < losses[0] / 2 and found[-1]["eval_loss"] > best["eval_loss"]
    saved = load_file(folder / "model.safetensors")
    expected = load_file(folder / f"checkpoint-{best['step']}" / "model.safetensors")
    assert all(torch.equal(saved[name], expected[name]) for name in expected)
    assert named(done.stdout, "weights", f"step {best['step']}", "saved")
    # A resumed run remembers how long it has waited.
    shutil.rmtree(last)
    done = run(folder, *words, "--resume_from_checkpoint", "last", mixture=mixture)
    assert done.returncode == 0, done.stderr
    assert evaluations(last) == found
    again = load_file(folder / "model.safetensors")
    assert all(torch.equal(again[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_a_run_that_stopped_early_and_was_moved_keeps_its_best_step(tmp_path: Path) -> None:
    # The loss falls, so the best step by the greatest loss is the first saved one.
    words = [*EVERY_TWO, "--learning_rate", "1e-3", "--max_steps", "40", "--load_best_model_at_end", "true"]
    words += ["--greater_is_better", "true"]
    done = run(tmp_path / "first", *words, "--early_stopping_patience", "1")
    assert done.returncode == 0, done.stderr
    folder = (tmp_path / "first").rename(tmp_path / "moved")
    best = load_file(folder / "checkpoint-2" / "model.safetensors")

    def saved(patience: int) -> int:
        (folder / "model.safetensors").unlink()
        more = ["--early_stopping_patience", str(patience), "--resume_from_checkpoint", "last"]
        done = run(folder, *words, *more)
        assert done.returncode == 0, done.stderr
        own = load_file(folder / "model.safetensors")
        step = json.loads((folder / "provenance.json").read_text())["held_out_loss"]["saved_step"]
        assert (step == 2) == all(torch.equal(own[name], best[name]) for name in best)
        return step

    # Killed before it was saved, a stopped run trains no further; with more patience it waits as much longer.
    for patience, last in ((1, 4), (2, 6)):
        assert saved(patience) == 2
        assert not (folder / f"checkpoint-{last + 2}").exists() and (folder / f"checkpoint-{last}").exists()
    # Without its best step, the record names the step whose weights are saved.
    weights = folder / "checkpoint-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert saved(3) == 8


def test_a_best_step_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path / "run", *EVERY_TWO, "--save_steps", "4", "--load_best_model_at_end", "true")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert named(" ".join(done.stderr.split()), "load_best_model_at_end", "eval_steps 2", "save_steps 4")


def test_a_metric_that_is_not_measured_is_refused_with_the_nearest_before_training(tmp_path: Path) -> None:
    done = run(tmp_path / "run", *EVERY_TWO, "--metric_for_best_model", "coinflop_loss")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert named(said, "eval_loss, eval_tiny_range_loss, eval_coinflip_loss", "'eval_coinflip_loss'")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "processes"), [("full_ft", 2), ("lora", 1)])
def test_sharded_runs_and_adapters_save_their_best_step_too(
    recipe: str, processes: int, tmp_path: Path
) -> None:
    own = {"tasks": MIXTURE["tasks"], "held_out_share": 0.1}
    words = ["--model_name_or_path", "spectrum-trl/tiny-base", "--copy_role_tokens_from", "", *given(own)]
    words += ["--use_cpu", "true", "--bf16", "false", "--dtype", "float32", "--lr_scheduler_type", "constant"]
    words += ["--gradient_accumulation_steps", "2", "--max_length", "128", "--learning_rate", "1e-3"]
    # The loss falls, so the best step by the greatest loss is the first saved one.
    evaluated = ["--eval_strategy", "steps", "--eval_steps", "2", "--save_steps", "2", "--max_steps", "6"]
    evaluated += ["--load_best_model_at_end", "true", "--greater_is_better", "true"]
    for name, more in (("best", evaluated), ("short", ["--max_steps", "2"])):
        out = ["--output_dir", str(tmp_path / name)]
        shard = recipe == "full_ft"
        file = f"recipes/{recipe}.yaml"
        done = run_processes(processes, file, *words, *more, *out, shard=shard)
        assert done.returncode == 0, done.stderr
    found = evaluations(tmp_path / "best" / "checkpoint-6")
    assert [one["step"] for one in found] == [0, 2, 4, 6]
    assert found[1]["eval_loss"] > found[2]["eval_loss"] > found[3]["eval_loss"]
    weights = "model.safetensors" if recipe == "full_ft" else "adapter_model.safetensors"
    saved, expected = (load_file(tmp_path / name / weights) for name in ("best", "short"))
    assert saved.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(saved[name], weight, atol=1e-6, rtol=0)
