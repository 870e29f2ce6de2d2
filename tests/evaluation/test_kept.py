"""What is kept is told by all that decides a figure: weights, libraries, data, options, the user's files."""

import importlib.metadata
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from spectrum_trl.evaluation import kept
from spectrum_trl.paths import TINY_BASE


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return shutil.copytree(TINY_BASE, tmp_path / "model")


def identity(model: Path, **arguments: Any) -> str:
    return kept.identity("spectrum", {"pretrained": str(model), **arguments})


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


@pytest.mark.parametrize("package", kept.PACKAGES)
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
        return kept.key(one, **given)

    keys = [key(), key(docs=[{"x": 2}]), key(options={"seed": 1}), key(limit=3), key(model="n")]
    keys.append(key(own=own | {"more": 1}))
    for name, text in (("list.txt", "b\n"), ("checks.py", "def valid(text):\n    return False\n")):
        (tmp_path / name).write_text(text)
        keys.append(key())
    assert len(set(keys)) == len(keys) and key() == keys[-1]
