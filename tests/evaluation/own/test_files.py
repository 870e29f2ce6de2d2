"""A user's broken task file is one clear message, however it is broken, and nothing is evaluated."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from lm_eval.tasks import TaskManager

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.own.tasks import INLINE, check_folders, load, own_file
from spectrum_trl.paths import bundled
from tests.messages import naming

GOOD = """\
task: cheeses
class: !function spectrum_trl.evaluation.diversity.Diversity
spectrum:
  description: A kind of cheese
  validator: {list: [Brie, Gouda]}
"""
BROKEN = {
    "": "mapping",
    "[1, 2]": "mapping",
    "3": "mapping",
    "task: [y": "YAML.*parsing",
    "task: \x00": "YAML.*character",
    "[" * 3000: "YAML.*too deep",
    "task: y\n": "class .*missing",
    GOOD + "task: again\n": "line 6.*'task'.* line 1",
    GOOD + "  description: again\n": "line 6.*'description'.* line 4",
}


def manager() -> TaskManager:
    return TaskManager(include_path=str(bundled("tasks")), include_defaults=False)


@pytest.mark.parametrize(("text", "told"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_file_that_is_no_task_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=f"mine.yaml.*{told}"):
        load([str(file)], manager=manager())
    with pytest.raises(UserError, match=f"^--include-path: .*mine.yaml.*{told}"):
        check_folders([tmp_path])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("task: y\nclass: !function nowhere.Nothing\n", "ImportError: .*nowhere"),
        (
            "task: y\nclass: !function spectrum_trl.evaluation.diversity.Nothing\n",
            "has no function 'Nothing'",
        ),
        ("include: nowhere.yaml\ntask: y\n", "nowhere.yaml"),
        ("task: y\ndataset_path: 3\n", "cannot be loaded"),
        ("{}", "cannot be loaded"),
    ],
)
def test_what_fails_while_loading_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=told):
        load([str(file)], manager=manager())


def test_all_broken_files_are_told_at_once_and_good_ones_load(tmp_path: Path) -> None:
    for name, text in (("a", "3"), ("b", GOOD), ("c", "")):
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        check_folders([tmp_path, tmp_path / "nowhere"])
    assert len(raised.value.problems) == 3
    (task,) = load([str(tmp_path / "b.yaml")], manager=manager())
    assert task.config.task == "cheeses"
    (tmp_path / "utf16.yaml").write_text(GOOD, encoding="utf-16")
    assert load([str(tmp_path / "utf16.yaml")], manager=manager())


@pytest.mark.parametrize("name", ["[/]", "../../x", "a" * 200, "''", '"\\x1b[1m"', "spectrum_icl_coinflip"])
def test_a_name_is_checked_before_anything_is_loaded(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace("cheeses", f"'{name}'" if name == "[/]" else name))
    said = "is the name of a task of this package" if name.startswith("spectrum") else "expected a short name"
    with pytest.raises(UserError, match=f"mine.yaml: task: .*{said}"):
        load([str(file)], manager=manager())
    with pytest.raises(UserError, match=f"^--include-path: .*mine.yaml: task: .*{said}"):
        check_folders([tmp_path])


def test_a_class_that_leaves_while_it_is_loaded_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    file = tmp_path / "mine.yaml"
    file.write_text("task: y\nclass: !function leaves.Task\n")
    with pytest.raises(UserError, match=naming("mine.yaml", "SystemExit")):
        load([str(file)], manager=manager())


def test_our_own_folder_of_tasks_can_be_named() -> None:
    check_folders([bundled("tasks") / "diversity"])


OWN = {"file": "ratings.csv", "output": "stars"}


def write(folder: Path, *, task: str = "mine", own: dict[str, str] = OWN) -> Path:
    folder.mkdir(exist_ok=True)
    text = f"task: {task}\nclass: !function spectrum_trl.evaluation.icl.Icl\nspectrum: {json.dumps(own)}\n"
    (folder / "my.yaml").write_text(text)
    return folder / "my.yaml"


def config(source: str) -> SimpleNamespace:
    return SimpleNamespace(task="mine", metadata={"config_source": source})


def test_what_lm_eval_says_is_taken() -> None:
    assert own_file(config("/a/my.yaml"), OWN) == "/a/my.yaml"


@pytest.mark.parametrize("form", ["{}", "--tasks={}", "arc_easy,{}"])
def test_a_file_that_the_command_line_names_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    file, other = write(tmp_path / "a"), write(tmp_path / "b", own={**OWN, "output": "likes"})
    monkeypatch.chdir(other.parent)
    monkeypatch.setattr(sys, "argv", ["lm_eval", "--tasks", str(other), form.format(file)])
    assert own_file(config(INLINE), OWN) == str(file)


def test_a_file_of_this_folder_is_found_and_one_of_another_task_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["lm_eval"])
    monkeypatch.chdir(write(tmp_path / "a").parent)
    assert own_file(config(INLINE), OWN) == str(tmp_path / "a" / "my.yaml")
    monkeypatch.chdir(write(tmp_path / "b", task="another").parent)
    (tmp_path / "b" / "broken.yaml").write_bytes(b"\xff: [")
    with pytest.raises(UserError, match=naming("--include_path FOLDER --tasks mine")):
        own_file(config(INLINE), OWN)
