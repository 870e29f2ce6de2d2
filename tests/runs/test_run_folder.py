"""Nothing of the user's is lost: only what a run wrote and listed is replaced, and saving is one move."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from spectrum_trl.errors import Interrupted, UserError
from spectrum_trl.models.folder import training_record
from spectrum_trl.runs.output_dir import LOCK
from spectrum_trl.runs.run_folder import (
    CONFIGS,
    FILES,
    STAGED,
    STAGING,
    explain_interrupt,
    finish_move,
    listed,
    remove_listed,
    set_aside,
)
from tests.processes import run_recipe
from tests.runs.conftest import TASKS, TINY_RUN

Run = Callable[..., subprocess.CompletedProcess[str]]
CONTINUE = ("--resume_from_checkpoint", "last", "--max_steps")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_overwriting_keeps_every_file_that_no_run_listed(finished_run: Path, tiny_run: Run) -> None:
    mine = {".git/HEAD": "ref", "data/own.csv": "1,2", "notes.md": "think", "checkpoint-2/note.txt": "x"}
    for name, text in mine.items():
        (finished_run / name).parent.mkdir(exist_ok=True)
        (finished_run / name).write_text(text)
    done = tiny_run(finished_run, "--overwrite", "true", "--max_steps", "1", "--save_strategy", "no")
    assert done.returncode == 0, done.stderr
    del mine["checkpoint-2/note.txt"]
    assert {name: (finished_run / name).read_text() for name in mine} == mine
    assert (finished_run / "set_aside/checkpoint-2/note.txt").read_text() == "x"
    assert not list(finished_run.glob("checkpoint-*")) and (finished_run / "model.safetensors").is_file()


def test_a_run_from_a_tuned_model_records_what_that_was_trained_on(
    finished_run: Path, tmp_path: Path, tiny_run: Run
) -> None:
    trained = training_record(str(finished_run))
    words = [
        "--model_name_or_path",
        str(finished_run),
        "--copy_role_tokens_from",
        "",
        "--tasks",
        "coinflip",
    ]
    done = tiny_run(tmp_path / "second", *words, "--max_steps", "1", "--save_strategy", "no")
    assert done.returncode == 0, done.stderr
    found = training_record(str(tmp_path / "second"))
    assert trained and found and set(found.counts) == {*trained.counts, "coinflip"}


def test_a_list_that_names_files_outside_its_folder_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("../precious", str(tmp_path / "precious"), "", 3, "x" * 300, "x\0"):
        (run / FILES).write_text(json.dumps([name]))
        with pytest.raises(UserError, match="outside its folder"):
            remove_listed(run)
    assert (tmp_path / "precious").read_text() == "x"


def test_a_listed_file_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").write_text("x")
    run = tmp_path / "run"
    run.mkdir()
    (run / "checkpoint-2").symlink_to(tmp_path / "elsewhere")
    (run / FILES).write_text(json.dumps(["checkpoint-2/precious", FILES]))
    remove_listed(run)
    assert (tmp_path / "elsewhere/precious").read_text() == "x"


@pytest.mark.parametrize("place", ["cwd", "recipe", "model", "link", "no list"])
def test_a_folder_that_may_hold_more_than_a_run_is_not_overwritten(
    place: str, finished_run: Path, tiny_run: Run, tmp_path: Path
) -> None:
    before, folder, words, recipe, cwd = contents(finished_run), finished_run, [], None, tmp_path
    if place == "cwd":
        folder, cwd = Path("."), finished_run
    elif place == "recipe":
        recipe = finished_run / "recipe.yaml"
    elif place == "model":
        words = ["--model_name_or_path", str(finished_run), "--copy_role_tokens_from", ""]
    elif place == "link":
        folder = tmp_path / "link"
        folder.symlink_to(finished_run)
    else:
        (finished_run / FILES).unlink()
        del before[FILES]
    root = Path(__file__).parents[2]
    done = run_recipe(
        recipe or root / "recipes/demo.yaml", "--overwrite", "true", "--output_dir", folder, *words, cwd=cwd
    )
    assert done.returncode == 2 and "is not overwritten" in done.stderr and "Traceback" not in done.stderr
    assert contents(finished_run) == before


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors", "history.jsonl"])
def test_a_folder_in_place_of_a_runs_file_is_told_before_anything_is_deleted(
    name: str, finished_run: Path, tiny_run: Run
) -> None:
    (finished_run / name).unlink()
    (finished_run / name).mkdir()
    (finished_run / name / "mine").write_text("x")
    before = contents(finished_run)
    for words in (["--overwrite", "true"], [*CONTINUE, "5"]):
        done = tiny_run(finished_run, *words)
        assert done.returncode == 2 and f"{name} is a folder" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and contents(finished_run) == before


@pytest.mark.slow
def test_a_run_can_be_continued_again_and_again_with_a_tokenizer_that_has_a_template_of_its_own(
    tiny_run: Run, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained("spectrum_trl/tiny/base_model")
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    tokenizer.save_pretrained(tmp_path / "model")
    AutoModelForCausalLM.from_pretrained("spectrum_trl/tiny/base_model").save_pretrained(tmp_path / "model")
    words = ["--model_name_or_path", str(tmp_path / "model")]
    out = tmp_path / "run"
    assert tiny_run(out, *words).returncode == 0
    weights = set()
    for steps in ("6", "8", "10"):
        done = tiny_run(out, *words, *CONTINUE, steps)
        assert done.returncode == 0, done.stderr
        weights.add((out / "model.safetensors").read_bytes())
        assert not (out / STAGING).exists() and not (out / STAGED).exists()
    assert len(weights) == 3
    assert (out / "additional_chat_templates" / "chat.jinja").is_file()
    events = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [event["changes"].get("max_steps") for event in events] == [None, [4, 6], [6, 8], [8, 10]]


def test_a_move_that_was_interrupted_anywhere_is_finished_and_no_mixture_loads_before(tmp_path: Path) -> None:
    new = {"config.json": "new", "model.safetensors": "new", "additional_chat_templates/chat.jinja": "new"}
    for stop in range(len(new) + 1):
        folder = tmp_path / str(stop)
        (folder / STAGED / "additional_chat_templates").mkdir(parents=True)
        for name in ("config.json", "model-00001-of-00002.safetensors", "notes.txt"):
            (folder / name).write_text("old")
        (folder / FILES).write_text(json.dumps(["config.json", "model-00001-of-00002.safetensors", FILES]))
        for name, text in new.items():
            (folder / STAGED / name).write_text(text)
        original, moved = Path.replace, []

        def replace(
            self: Path, target: Path, moved: list[Path] = moved, stop: int = stop, original=original
        ) -> Path:
            if len(moved) == stop:
                raise KeyboardInterrupt
            moved.append(self)
            return original(self, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            try:
                finish_move(folder)
            except KeyboardInterrupt:
                assert not any((folder / name).exists() for name in CONFIGS)
        finish_move(folder)
        found = {name: data.decode() for name, data in contents(folder).items() if name != FILES}
        assert found == new | {"notes.txt": "old"}


def test_two_runs_into_one_folder_are_refused_the_second_time(tiny_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with FileLock(out / LOCK):
        done = tiny_run(out)
    assert done.returncode == 2 and "in use by another run" in done.stderr
    assert tiny_run(out).returncode == 0
    assert not (out / LOCK).exists()


FAILING = """
from transformers import Trainer
from spectrum_trl.launch import launch

def fail(*args, **kwargs):
    raise RuntimeError("the first step fails")

Trainer.training_step = fail
launch("recipes/demo.yaml")
"""


def fail_in_the_first_step(script: Path, out: Path, *words: str) -> None:
    """Run the demo's recipe up to its first step, which raises: later than any check."""
    script.write_text(FAILING)
    done = run_recipe(script, *TASKS, *TINY_RUN, "--output_dir", out, *words)
    assert done.returncode != 0 and "the first step fails" in done.stderr


def test_what_fails_before_the_first_step_leaves_no_folder_and_the_corrected_retry_works(
    tiny_run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "run"
    fail_in_the_first_step(tmp_path / "script.py", out)
    assert not (tmp_path / "deep").exists()
    assert tiny_run(out).returncode == 0


def test_a_failed_overwrite_leaves_the_earlier_run_as_it_was(finished_run: Path, tmp_path: Path) -> None:
    before = contents(finished_run)
    fail_in_the_first_step(tmp_path / "script.py", finished_run, "--overwrite", "true")
    assert contents(finished_run) == before


@pytest.mark.parametrize("kind", ["file", "under a file", "not writable"])
def test_an_output_folder_that_cannot_be_made_is_one_clear_message(
    kind: str, tiny_run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    folder = {"file": tmp_path / "file", "under a file": tmp_path / "file" / "run"}.get(
        kind, Path("/proc/run")
    )
    done = tiny_run(folder)
    assert done.returncode == 2 and "output_dir" in done.stderr and "Traceback" not in done.stderr


def test_a_run_into_the_current_folder_has_a_model_card_with_its_name(tmp_path: Path) -> None:
    words = [*TASKS, *TINY_RUN, "--max_steps", "1", "--save_strategy", "no", "--output_dir", "."]
    recipe = Path(__file__).parents[2] / "recipes/demo.yaml"
    (tmp_path / "mine").mkdir()
    done = run_recipe(recipe, *words, cwd=tmp_path / "mine")
    assert done.returncode == 0, done.stderr
    assert "\n# mine\n" in (tmp_path / "mine" / "README.md").read_text()


def test_checkpoints_of_one_name_are_set_aside_beside_each_other(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "checkpoint-4").mkdir()
        (tmp_path / "checkpoint-4" / "number").write_text(str(number))
        set_aside([tmp_path / "checkpoint-4"], tmp_path)
    names = ("checkpoint-4", "checkpoint-4.2", "checkpoint-4.3", "checkpoint-4.4")
    assert contents(tmp_path) == {f"set_aside/{name}/number": b"%d" % n for n, name in enumerate(names)}


@pytest.mark.parametrize(
    ("begun", "checkpoints", "way"),
    [
        (False, [], "nothing was written yet"),
        (True, [], "start over with `--overwrite true`"),
        (True, ["checkpoint-2"], "continue from the newest checkpoint with `--resume_from_checkpoint last`"),
    ],
)
def test_an_interrupted_run_says_what_is_left_of_it(
    begun: bool, checkpoints: list[str], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for name in checkpoints:
        (tmp_path / name).mkdir()
    folder = SimpleNamespace(path=tmp_path, begun=begun, is_main=True)
    with pytest.raises(Interrupted, match=way), explain_interrupt(folder):  # type: ignore[arg-type]
        raise KeyboardInterrupt
    folder.is_main = False
    with pytest.raises(KeyboardInterrupt), explain_interrupt(folder):  # type: ignore[arg-type]
        raise KeyboardInterrupt


def test_every_file_of_a_run_is_listed(finished_run: Path) -> None:
    assert set(listed(finished_run)) == set(contents(finished_run))
    assert not os.path.lexists(finished_run / LOCK)
