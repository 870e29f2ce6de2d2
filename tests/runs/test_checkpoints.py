"""A run continues from its newest whole checkpoint, says what it passed over, and only as what it was."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerState

from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.runs.checkpoints import Checkpoint, find_checkpoint, newest_finite, problem_of, step_of
from tests.processes import run_processes, run_recipe, start_recipe
from tests.runs.conftest import TASKS, TINY_RUN

# Runs that are stopped, damaged and continued.
pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def zero(file: Path) -> None:
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    file.write_bytes(data)


def change_state(folder: Path, **changes: object) -> None:
    file = folder / "trainer_state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


BREAK = {
    "optimizer with zeros": lambda folder: zero(folder / "optimizer.pt"),
    "random state with zeros": lambda folder: zero(folder / "rng_state.pth"),
    "state of a step alone": lambda folder: (folder / "trainer_state.json").write_text('{"global_step": 4}'),
    "state with an unknown key": lambda folder: change_state(folder, other=1),
    "weights cut": lambda folder: cut(folder / "model.safetensors"),
    "optimizer cut": lambda folder: cut(folder / "optimizer.pt"),
    "state cut": lambda folder: cut(folder / "trainer_state.json"),
    "random state cut": lambda folder: cut(folder / "rng_state.pth"),
    "scheduler missing": lambda folder: (folder / "scheduler.pt").unlink(),
    "optimizer missing": lambda folder: (folder / "optimizer.pt").unlink(),
    "empty folder": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
    "empty weights": lambda folder: (folder / "model.safetensors").write_bytes(b""),
}


@pytest.mark.parametrize("how", BREAK)
def test_last_passes_over_a_broken_newest_checkpoint_and_says_why(
    how: str, finished_run: Path, tiny_run: Run
) -> None:
    BREAK[how](finished_run / "checkpoint-4")
    assert problem_of(finished_run / "checkpoint-2") is None
    done = tiny_run(finished_run, "--resume_from_checkpoint", "last", "--max_steps", "5")
    assert done.returncode == 0, done.stderr
    assert f"skipped {finished_run}/checkpoint-" in done.stdout
    assert f"continuing from {finished_run}/checkpoint-2" in done.stdout
    assert (finished_run / "set_aside" / "checkpoint-4").is_dir()
    state = json.loads((finished_run / "checkpoint-5" / "trainer_state.json").read_text())
    assert [entry["step"] for entry in state["log_history"] if "loss" in entry] == [1, 2, 3, 4, 5]


def test_a_checkpoint_of_another_model_is_refused(finished_run: Path, tiny_run: Run) -> None:
    weights = finished_run / "checkpoint-4" / "model.safetensors"
    tensors = load_file(weights)
    save_file({f"other.{name}": tensor for name, tensor in tensors.items()}, weights)
    before = {file: file.stat().st_mtime_ns for file in finished_run.rglob("*") if file.is_file()}
    done = tiny_run(finished_run, "--resume_from_checkpoint", "last", "--max_steps", "5")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{weights} does not belong to this model: it lacks {len(tensors)} of" in done.stderr
    assert before == {file: file.stat().st_mtime_ns for file in finished_run.rglob("*") if file.is_file()}


def counts(run: Path) -> list[tuple[int, int]]:
    log = json.loads((run / "checkpoint-4" / "trainer_state.json").read_text())["log_history"]
    return [(entry["step"], entry["num_tokens"]) for entry in log]


def test_a_continued_run_ends_with_the_weights_and_the_log_of_one_that_was_never_stopped(
    finished_run: Path, tiny_run: Run
) -> None:
    expected, seen = load_file(finished_run / "model.safetensors"), counts(finished_run)
    shutil.rmtree(finished_run / "checkpoint-4")
    done = tiny_run(finished_run, "--resume_from_checkpoint", "true")
    # What is tied is not missing.
    assert done.returncode == 0 and "missing keys" not in done.stderr
    found = load_file(finished_run / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert counts(finished_run) == seen and len({tokens for _, tokens in seen}) == 4


@pytest.mark.parametrize("wanted", ["nowhere", "folder", "broken"])
def test_a_wrong_checkpoint_is_one_clear_message(
    wanted: str, finished_run: Path, tiny_run: Run, tmp_path: Path
) -> None:
    cut(finished_run / "checkpoint-4" / "optimizer.pt")
    path = {"nowhere": tmp_path / "nowhere", "folder": tmp_path, "broken": finished_run / "checkpoint-4"}[
        wanted
    ]
    done = tiny_run(finished_run, "--resume_from_checkpoint", path)
    assert done.returncode == 2 and str(path) in done.stderr and "Traceback" not in done.stderr


def test_without_a_whole_checkpoint_every_problem_is_told(finished_run: Path, tiny_run: Run) -> None:
    for step in (2, 4):
        cut(finished_run / f"checkpoint-{step}" / "model.safetensors")
    done = tiny_run(finished_run, "--resume_from_checkpoint", "last")
    assert done.returncode == 2 and done.stderr.count("is broken") == 2


def test_a_checkpoint_of_another_run_does_not_let_a_run_write_into_a_foreign_folder(
    finished_run: Path, tiny_run: Run, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    other = tmp_path / "other"
    assert tiny_run(other).returncode == 0
    for folder, told in ((tmp_path / "thesis", "no spectrum-trl run wrote"), (other, str(other))):
        done = tiny_run(folder, "--resume_from_checkpoint", finished_run / "checkpoint-2")
        assert done.returncode == 2 and told in done.stderr
    assert [file.name for file in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]
    new = tmp_path / "new"
    done = tiny_run(new, "--resume_from_checkpoint", finished_run / "checkpoint-2")
    assert done.returncode == 0, done.stderr
    event = json.loads((new / "history.jsonl").read_text())
    assert event["checkpoint"] == str(finished_run / "checkpoint-2")


def test_groups_of_like_length_depend_on_the_number_of_processes(tiny_run: Run, tmp_path: Path) -> None:
    words = ["--train_sampling_strategy", "group_by_length", "--output_dir", tmp_path / "run"]
    assert tiny_run(tmp_path / "run", *words).returncode == 0
    more = [*TASKS, *TINY_RUN, *words, "--per_device_train_batch_size", "4", "--max_steps", "5"]
    done = run_processes(2, "recipes/demo.yaml", *more, "--resume_from_checkpoint", "last")
    assert done.returncode == 2 and "rows_per_step_and_process was 8" in done.stderr
    assert "rows_per_step was" not in done.stderr


def test_what_changes_the_run_is_refused_with_a_list_and_the_record_stays_true(
    finished_run: Path, tiny_run: Run
) -> None:
    before = {name: (finished_run / name).read_text() for name in ("recipe.yaml", "provenance.json")}
    words = ["--resume_from_checkpoint", "last", "--learning_rate", "1e-5", "--seed", "7"]
    words += ["--per_device_train_batch_size", "4", "--tasks", '{"tiny_range": {"max_sequences": 41}}']
    done = tiny_run(finished_run, *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for told in ("learning_rate was 0.0015", "seed was 0", "rows_per_step was 8", "tasks was"):
        assert told in done.stderr
    assert before == {name: (finished_run / name).read_text() for name in before}
    done = tiny_run(finished_run, *words, "--resume_despite_changes", "true", "--max_steps", "6")
    assert done.returncode == 0, done.stderr
    event = json.loads((finished_run / "history.jsonl").read_text().splitlines()[-1])
    assert event["changes"]["seed"] == [0, 7] and any(name.startswith("data of") for name in event["changes"])


def test_after_an_accepted_change_the_record_tells_what_ran_and_later_starts_are_compared_with_it(
    finished_run: Path, tiny_run: Run
) -> None:
    words = ["--resume_from_checkpoint", "last", "--max_steps", "8"]
    changed = ["--learning_rate", "1e-5", "--weight_decay", "0.5", "--resume_despite_changes", "true"]
    assert tiny_run(finished_run, *words, *changed).returncode == 0
    settings = json.loads((finished_run / "provenance.json").read_text())["settings"]
    assert (settings["learning_rate"], settings["weight_decay"], settings["max_steps"]) == (1e-5, 0.5, 8)
    recipe = read_recipe(finished_run / "recipe.yaml")
    assert (recipe.training.learning_rate, recipe.training.max_steps) == (1e-5, 8)
    log = json.loads((finished_run / "checkpoint-8" / "trainer_state.json").read_text())["log_history"]
    # In the warm-up of 50 steps.
    assert [entry["learning_rate"] for entry in log[4:8]] == pytest.approx(
        [step * 2e-7 for step in range(4, 8)]
    )
    group = torch.load(finished_run / "checkpoint-8" / "optimizer.pt")["param_groups"][0]
    assert group["weight_decay"] == 0.5
    done = tiny_run(finished_run, *words, "--max_steps", "10")
    assert done.returncode == 2 and "learning_rate was 1e-05 in the run that wrote" in done.stderr
    old = tiny_run(finished_run, "--resume_from_checkpoint", finished_run / "checkpoint-2")
    assert old.returncode == 0, old.stderr
    events = [json.loads(line) for line in (finished_run / "history.jsonl").read_text().splitlines()]
    assert [event["recipe"]["learning_rate"] for event in events] == [0.0015, 1e-5, 0.0015]


def test_a_checkpoint_that_was_set_aside_can_be_gone_on_from(finished_run: Path, tiny_run: Run) -> None:
    first, aside = finished_run / "checkpoint-2", finished_run / "set_aside" / "checkpoint-4"
    for _ in range(2):
        assert tiny_run(finished_run, "--resume_from_checkpoint", first).returncode == 0
    for named in (aside, aside.with_name("checkpoint-4.2")):
        done = tiny_run(finished_run, "--resume_from_checkpoint", named, "--max_steps", "5")
        assert done.returncode == 0, done.stderr
        assert "step 5/5" in done.stdout and not (finished_run / "checkpoint-4").exists()


def test_checkpoints_of_fewer_processes_than_the_first_start_are_whole(tmp_path: Path, tiny_run: Run) -> None:
    words = ["--resume_from_checkpoint", "last", "--max_steps"]
    two = [*TASKS, *TINY_RUN, "--output_dir", tmp_path / "run", "--per_device_train_batch_size", "4"]
    first = run_processes(2, "recipes/demo.yaml", *two, "--train_sampling_strategy", "random")
    assert first.returncode == 0, first.stderr
    for step in (6, 8):
        done = tiny_run(tmp_path / "run", *words, str(step), "--train_sampling_strategy", "random")
        assert done.returncode == 0, done.stderr
        assert "skipped" not in done.stdout and f"checkpoint-{step - 2}\n" in done.stdout
    (tmp_path / "run" / "checkpoint-4" / "rng_state_1.pth").unlink()
    assert problem_of(tmp_path / "run" / "checkpoint-4") == "it has no rng_state_1.pth"


def test_a_run_that_replaced_another_is_continued_by_the_recipe_that_it_left(
    finished_run: Path, tiny_run: Run
) -> None:
    assert tiny_run(finished_run, "--overwrite", "true").returncode == 0
    done = run_recipe(finished_run / "recipe.yaml", "--resume_from_checkpoint", "last", "--max_steps", "5")
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_without_a_record_keeps_that_of_the_start_that_wrote_it(
    finished_run: Path, tiny_run: Run
) -> None:
    # What a kill right behind the newest checkpoint leaves.
    (finished_run / "checkpoint-4" / "provenance.json").unlink()
    before = (finished_run / "provenance.json").read_text()
    words = ["--learning_rate", "1e-5", "--resume_despite_changes", "true", "--max_steps", "5"]
    assert tiny_run(finished_run, "--resume_from_checkpoint", "last", *words).returncode == 0
    assert (finished_run / "checkpoint-4" / "provenance.json").read_text() == before


def test_other_data_or_versions_under_the_same_settings_are_refused(
    finished_run: Path, tiny_run: Run, tmp_path: Path
) -> None:
    record = finished_run / "checkpoint-4" / "provenance.json"
    was = json.loads(record.read_text())
    for change in ("sha256", "version"):
        changed = json.loads(record.read_text())
        if change == "sha256":
            changed["data"][0]["sha256"] = "0" * 64
        else:
            changed["versions"]["trl"] = "0.1"
        record.write_text(json.dumps(changed))
        done = tiny_run(finished_run, "--resume_from_checkpoint", "last", "--max_steps", "5")
        assert done.returncode == 2
        assert ("data of tiny_range" if change == "sha256" else "trl was '0.1'") in done.stderr
        record.write_text(json.dumps(was))


def test_the_same_global_batch_from_other_parts_is_the_same_run(finished_run: Path, tiny_run: Run) -> None:
    words = ["--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2"]
    done = tiny_run(finished_run, "--resume_from_checkpoint", "last", "--max_steps", "5", *words)
    assert done.returncode == 0, done.stderr


def test_a_run_that_is_given_more_steps_goes_on_at_the_rate_of_the_longer_schedule(
    tiny_run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert tiny_run(out, "--warmup_steps", "0").returncode == 0
    done = tiny_run(out, "--warmup_steps", "0", "--max_steps", "8", "--resume_from_checkpoint", "last")
    assert done.returncode == 0, done.stderr
    log = json.loads((out / "checkpoint-8" / "trainer_state.json").read_text())["log_history"]
    rates = [entry["learning_rate"] for entry in log if "loss" in entry]
    shares = [1 - step / 4 for step in range(4)] + [1 - step / 8 for step in range(4, 8)]
    assert rates == pytest.approx([1.5e-3 * share for share in shares])


def test_killed_at_any_moment_and_resumed_a_packed_lora_run_ends_as_if_never_stopped(tmp_path: Path) -> None:
    """Ten kills, spread over the run, some of them while a checkpoint is written."""
    recipe, words = "recipes/demo.yaml", [*TINY_RUN, "--max_steps", "33", "--save_steps", "1"]
    words += ["--per_device_train_batch_size", "1", "--gradient_accumulation_steps", "2", "--packing", "true"]
    words += ["--use_peft", "true", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj"]
    words += ["--tasks", '{"tiny_range": {"max_sequences": 900}}', "--save_total_limit", "3"]

    def state(folder: Path) -> list[tuple[float, float]]:
        found = json.loads((folder / "checkpoint-33" / "trainer_state.json").read_text())["log_history"]
        return [(entry["step"], entry["loss"]) for entry in found if "loss" in entry]

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = start_recipe(recipe, *words, "--output_dir", str(whole), output=tmp_path / "log")
    process.join()
    assert process.exitcode == 0, (tmp_path / "log").read_text()[-2000:]
    for kill in range(11):
        resume = ["--resume_from_checkpoint", "last"] if list(broken.glob("checkpoint-*")) else []
        process = start_recipe(recipe, *words, *resume, "--output_dir", str(broken), output=tmp_path / "log")
        target = 33 if kill == 10 else 3 * (kill + 1)
        while process.is_alive() and kill < 10 and not (broken / f"checkpoint-{target}").exists():
            process.join(0.003 * kill)
        if kill < 10:
            process.kill()
        process.join()
    assert process.exitcode == 0, (tmp_path / "log").read_text()[-2000:]
    assert state(broken) == state(whole)
    found, expected = (load_file(run / "adapter_model.safetensors") for run in (broken, whole))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("trainer_state.json", "[" * 100_000),
        ("trainer_state.json", "[]"),
        ("model.safetensors.index.json", '{"weight_map": []}'),
        ("model.safetensors.index.json", '{"weight_map": null}'),
        ("model.safetensors.index.json", '{"weight_map": {"a": 3}}'),
        ("model.safetensors.index.json", '{"weight_map": {"a": "../../model.safetensors"}}'),
    ],
)
def test_whatever_is_in_a_checkpoint_its_problem_is_a_text(name: str, text: str, finished_run: Path) -> None:
    folder = finished_run / "checkpoint-4"
    (folder / name).write_text(text)
    assert isinstance(problem_of(folder), str)
    assert newest_finite(finished_run) == finished_run / "checkpoint-2"


def checkpoint(folder: Path) -> Path:
    """Write the smallest whole checkpoint, of the step in its name."""
    folder.mkdir(parents=True)
    save_file({"weight": torch.ones(2)}, folder / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({}, folder / name)
    state = TrainerState(global_step=step_of(folder), stateful_callbacks={"TrainerControl": {}})
    state.save_to_json(str(folder / "trainer_state.json"))
    return folder


def found(folder: Path, wanted: str | Path) -> Checkpoint:
    training = SimpleNamespace(resume_from_checkpoint=wanted, output_dir=folder)
    return find_checkpoint(SimpleNamespace(resumes=True, training=training))  # type: ignore[arg-type]


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    nine, ten, hundred = (checkpoint(tmp_path / f"checkpoint-{step}") for step in (9, 10, 100))
    assert found(tmp_path, "last")[:3] == (hundred, {}, []) and newest_finite(tmp_path) == hundred
    (hundred / "optimizer.pt").unlink()
    assert newest_finite(tmp_path) == ten
    last = found(tmp_path, "True")
    assert (last.path, list(last.passed_over), last.newer) == (ten, [hundred], [hundred])
    named = found(tmp_path, nine)
    assert (named.path, named.passed_over, named.newer) == (nine, {}, [hundred, ten])


def test_what_is_later_than_a_checkpoint_that_was_set_aside_is_found_in_the_folder(tmp_path: Path) -> None:
    four = checkpoint(tmp_path / "run" / "checkpoint-4")
    checkpoint(tmp_path / "run" / "checkpoint-3")
    aside = checkpoint(tmp_path / "run" / "set_aside" / "checkpoint-4.2")
    assert found(tmp_path / "run", aside)[:3] == (aside, {}, [four])
    # One of elsewhere starts a new run, in which nothing is later.
    elsewhere = checkpoint(tmp_path / "other" / "checkpoint-2")
    assert found(tmp_path / "run", elsewhere).newer == []


@pytest.mark.parametrize(
    ("name", "step"), [("checkpoint-12", 12), ("checkpoint-4.2", 4), ("checkpoint-best", -1), ("notes", -1)]
)
def test_the_step_in_a_name(name: str, step: int) -> None:
    assert step_of(Path("run-7", name)) == step


@pytest.mark.parametrize(("n", "more"), [(1, ""), (5, ""), (6, " and 1 more file"), (9, " and 4 more files")])
def test_the_first_of_missing_weights_are_listed(n: int, more: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint-4")
    names = {f"weight{number}": f"shard{number}.safetensors" for number in range(n)}
    there = {"weight": "model.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names | there}))
    listed = ", ".join(list(names.values())[:5])
    assert problem_of(folder) == f"it has no {listed}{more}"
    for name in names.values():
        shutil.copyfile(folder / "model.safetensors", folder / name)
    assert problem_of(folder) is None


def test_a_checkpoint_of_several_processes_has_the_random_state_of_each(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint-4")
    record = {"settings": {}, "versions": {}, "data": [], "processes": 2}
    (folder / "provenance.json").write_text(json.dumps(record))
    for rank in (0, 1):
        assert problem_of(folder) == f"it has no {', '.join(f'rng_state_{r}.pth' for r in range(rank, 2))}"
        torch.save({}, folder / f"rng_state_{rank}.pth")
    assert problem_of(folder) is None and found(tmp_path, "last").record == record


def test_auto_starts_a_run_continues_it_and_keeps_a_finished_one(
    tmp_path: Path, finished_run: Path, tiny_run: Run
) -> None:
    auto = ("--resume_from_checkpoint", "auto")
    started = tiny_run(tmp_path / "new", *auto)
    assert started.returncode == 0 and (tmp_path / "new" / "model.safetensors").is_file(), started.stderr
    continued = tiny_run(finished_run, *auto, "--max_steps", "5")
    assert continued.returncode == 0 and "step 5/5" in continued.stdout and "step 4/5" not in continued.stdout
    before = (finished_run / "model.safetensors").read_bytes()
    for checkpoint in finished_run.glob("checkpoint-*"):
        (checkpoint / "optimizer.pt").unlink()
    refused = tiny_run(finished_run, *auto)
    assert refused.returncode == 2 and "no complete checkpoint" in refused.stderr
    assert (finished_run / "model.safetensors").read_bytes() == before
