"""A user's task given to lm-eval by the path of its file reads the data beside that file."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.own.file import INLINE, own_file

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
    with pytest.raises(UserError, match="--include_path FOLDER --tasks mine"):
        own_file(config(INLINE), OWN)
