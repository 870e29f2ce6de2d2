"""What is kept is told by all that decides a figure: weights, libraries, data, options, the user's files."""

import importlib.metadata
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.tasks import TaskManager
from safetensors.torch import load_file, save_file

from spectrum_trl.evaluation import saving
from spectrum_trl.paths import TINY_BASE


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return shutil.copytree(TINY_BASE, tmp_path / "model")


def identity(model: Path, **arguments: Any) -> str:
    return saving.identity("spectrum", {"pretrained": str(model), **arguments})


def change_weights(folder: Path) -> None:
    file = next(folder.glob("*.safetensors"))
    tensors = load_file(file)
    name = sorted(tensors)[0]
    save_file({**tensors, name: tensors[name] + 1}, file)


def test_a_copy_in_place_is_the_same_and_other_weights_are_not(model: Path) -> None:
    before = identity(model)
    assert identity(model) == before
    change_weights(model)
    assert identity(model) != before


def test_every_byte_of_the_weights_counts_even_with_size_and_time_as_before(model: Path) -> None:
    file, seen = next(model.glob("*.safetensors")), {identity(model)}
    stat, whole = file.stat(), bytearray(file.read_bytes())
    for place in (len(whole) // 7, len(whole) // 3, len(whole) - 1):
        whole[place] ^= 1
        file.write_bytes(whole)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        seen.add(identity(model))
    assert len(seen) == 4


@pytest.mark.parametrize(
    "name",
    [
        "merges.txt",
        "pytorch_model.bin",
        "chat_template.jinja",
        "additional_chat_templates/rag.jinja",
        "own.py",
    ],
)
def test_all_that_a_model_is_loaded_from_counts(model: Path, name: str) -> None:
    before = identity(model)
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text("something")
    assert identity(model) != before


def test_what_is_kept_is_read_back_and_not_once_it_was_changed(tmp_path: Path) -> None:
    file, value = tmp_path / "deep" / "task.json", {"results": {"task": {"loss,none": 1.25}}}
    saving.write(value, file)
    assert saving.read(file) == value
    text = file.read_text()
    for broken in (text.replace("1.25", "1.24"), text[:-20], "", "null", "[" * 100_000, '{"value": {}}'):
        file.write_text(broken)
        assert saving.read(file) is None


def test_what_was_kept_under_another_name_is_of_something_else(tmp_path: Path) -> None:
    saving.write({"results": {}}, tmp_path / "a_1.json")
    shutil.copy(tmp_path / "a_1.json", tmp_path / "b_2.json")
    assert (
        saving.read(tmp_path / "a_1.json") == {"results": {}} and saving.read(tmp_path / "b_2.json") is None
    )


def test_the_base_of_an_adapter_counts_too(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(model)})
    )
    before = identity(adapter), identity(model, peft=str(adapter))
    change_weights(model)
    after = identity(adapter), identity(model, peft=str(adapter))
    assert before[0] != after[0] and before[1] != after[1]


def test_the_kind_of_device_counts_and_how_it_is_named_does_not(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = identity(model)
    assert identity(model, device="cpu") == on_cpu
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    on_gpu = identity(model)
    assert on_gpu == identity(model, device="cuda:1") != on_cpu == identity(model, device="cpu")


def test_the_model_that_judges_a_task_counts_and_one_at_an_endpoint_is_told_by_its_name(
    model: Path, tmp_path: Path
) -> None:
    def keys() -> list[str]:
        judges = ({"model": str(model)}, {"model": str(model), "endpoint": "http://localhost/v1"})
        tasks = (task(tmp_path, docs=[], own={"validator": {"judge": judge}}) for judge in judges)
        return [saving.key(one, options={}, limit=None, model="m") for one in tasks]

    before = keys()
    change_weights(model)
    after = keys()
    assert before[0] != after[0] and before[1] == after[1]


@pytest.mark.parametrize("argument", ["tokenizer", "delta", "draft_model"])
def test_a_folder_that_any_argument_names_counts(model: Path, tmp_path: Path, argument: str) -> None:
    other = shutil.copytree(TINY_BASE, tmp_path / "other")
    seen = {identity(model), identity(model, **{argument: str(other)})}
    change_weights(other)
    seen.add(identity(model, **{argument: str(other)}))
    assert len(seen) == 3 and identity(model) in seen


def test_weights_in_a_subfolder_count(model: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    inner = shutil.copytree(model, outer / "inner")
    seen = {identity(outer), identity(outer, subfolder="inner")}
    change_weights(inner)
    seen.add(identity(outer, subfolder="inner"))
    assert len(seen) == 3


def test_another_revision_is_another_model(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def fingerprints(name: str, *, revision: str) -> dict[str, str]:
        asked.append((name, revision))
        return {}

    monkeypatch.setattr(saving, "fingerprints", fingerprints)
    assert identity(model, revision="v2") != identity(model)
    assert asked == [(str(model), "v2"), (str(model), "main")]


@pytest.mark.parametrize("package", saving.PACKAGES)
def test_another_version_of_a_library_is_another_evaluation(
    model: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, installed = identity(model), importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0" if name == package else installed(name)
    )
    assert identity(model) != before


def task(folder: Path, *, docs: list[Any], own: Any) -> Any:
    config = SimpleNamespace(metadata={"config_source": str(folder / "mine.yaml")})
    return SimpleNamespace(own=own, config=config, eval_docs=docs)


def test_rows_options_limit_model_and_the_users_files_count(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a\n")
    (tmp_path / "checks.py").write_text("def valid(text):\n    return True\n")
    own = {"validator": {"file": "list.txt"}, "other": {"function": "checks:valid"}}

    def key(**changes: Any) -> str:
        given = {"options": {}, "limit": None, "model": "m", "docs": [{"x": 1}], "own": own} | changes
        one = task(tmp_path, docs=given.pop("docs"), own=given.pop("own"))
        return saving.key(one, **given)

    keys = [key(), key(docs=[{"x": 2}]), key(options={"seed": 1}), key(limit=3), key(model="n")]
    keys.append(key(own=own | {"more": 1}))
    for name, text in (("list.txt", "b\n"), ("checks.py", "def valid(text):\n    return False\n")):
        (tmp_path / name).write_text(text)
        keys.append(key())
    assert len(set(keys)) == len(keys) and key() == keys[-1]


OURS = """
task: mine
class: !function spectrum_trl.evaluation.icl.Icl
metadata: {format: colon, OPTION}
spectrum: {file: a.csv, group_by: who, output: what, candidates: ["1", "2"], descriptions: ["D"]}
"""
STOCK = """
task: mine
dataset_path: csv
dataset_kwargs: {data_files: {test: a.csv}}
test_split: test
output_type: multiple_choice
doc_to_text: "OPTION {{what}}"
doc_to_choice: ["1", "2"]
doc_to_target: 0
metric_list: [{metric: acc}]
"""


@pytest.mark.parametrize(
    ("file", "options"),
    [(OURS, ("outputs: 2", "outputs: 6", "restricted: true")), (STOCK, ("Q:", "Is it so:"))],
)
def test_all_that_a_task_file_says_counts(
    file: str, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{who},{1 + (who + n) % 2}" for who in range(8) for n in range(6)]
    (tmp_path / "a.csv").write_text("\n".join(["who,what", *rows]))

    def key(option: str) -> str:
        (tmp_path / "mine.yaml").write_text(file.replace("OPTION", option))
        manager = TaskManager(
            include_path=str(tmp_path), include_defaults=False, metadata={"pretrained": str(TINY_BASE)}
        )
        (one,) = manager.load(["mine"])["tasks"].values()
        return saving.key(one, options={}, limit=3, model="m")

    assert len({key(option) for option in options}) == len(options) and key(options[0]) == key(options[0])
