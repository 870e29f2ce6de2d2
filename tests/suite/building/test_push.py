"""Only what may be passed on is published, whole, with a card that the Hub reads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.suite.building import push as publishing
from spectrum_trl.suite.building.build import build_suite
from spectrum_trl.suite.building.manifest import read_manifest
from spectrum_trl.suite.building.push import push, stage
from spectrum_trl.suite.catalogue import suite_tasks
from tests.hub import Hub
from tests.messages import named, naming


@pytest.fixture
def built(data: Path, names: list[str], tmp_path: Path) -> Path:
    build_suite(names, output=tmp_path / "out", data_dir=data, seed=0)
    return tmp_path / "out"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "staged").mkdir()
    return tmp_path / "staged"


def test_the_staged_folder_loads_as_a_data_set_with_the_splits_of_its_tasks(
    built: Path, target: Path, names: list[str]
) -> None:
    stage(built, target, repo="me/suite")
    readme = (target / "README.md").read_text("utf-8")
    header = yaml.safe_load(readme.split("---")[1])
    assert {config["config_name"] for config in header["configs"]} == set(names)
    assert all(f"`{name}`" in readme and suite_tasks()[name].source.title in readme for name in names)
    assert "# suite" in readme and "seed 0" in readme
    for name in names:
        found = datasets.load_dataset(str(target), name)
        wanted = (read_manifest(built) or {})["tasks"][name]["sequences"]
        assert {split: len(rows) for split, rows in found.items()} == {suite_tasks()[name].split: wanted}


def test_what_is_no_build_is_refused(data: Path, target: Path) -> None:
    with pytest.raises(UserError, match=naming(f"spectrum-trl data build --output {data}")):
        stage(data, target, repo="me/suite")


@pytest.mark.parametrize(
    "change", [{"terms": "Do not pass it on."}, {"ask": "write to us"}, {"private": True}], ids=str
)
def test_what_may_not_be_passed_on_is_refused(
    built: Path, target: Path, names: list[str], change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = dict(suite_tasks())
    tasks[names[0]] = replace(tasks[names[0]], source=replace(tasks[names[0]].source, **change))
    monkeypatch.setattr(publishing, "suite_tasks", lambda: tasks)
    with pytest.raises(UserError, match=naming(names[0], "redistribution")):
        stage(built, target, repo="me/suite")
    assert not list(target.iterdir())


def test_what_has_no_licence_is_not_for_everybody(
    built: Path, target: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        name: replace(task, source=replace(task.source, licence="MIT"))
        for name, task in suite_tasks().items()
    }
    unlicensed = replace(known[names[0]].source, licence="unstated (X)")
    known[names[0]] = replace(known[names[0]], source=unlicensed)
    monkeypatch.setattr(publishing, "suite_tasks", lambda: known)
    with pytest.raises(UserError, match=naming(names[0], "unstated (X)", "--public")):
        stage(built, target, repo="me/suite", public=True)
    assert not any(target.iterdir())
    stage(built, target, repo="me/suite")


def test_damaged_missing_and_unknown_tasks_are_told_at_once(
    built: Path, target: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (built / f"{names[0]}.parquet").unlink()
    (built / f"{names[1]}.parquet").write_bytes(b"PAR1")
    tasks = {name: task for name, task in suite_tasks().items() if name != names[2]}
    monkeypatch.setattr(publishing, "suite_tasks", lambda: tasks)
    with pytest.raises(UserError) as error:
        stage(built, target, repo="me/suite")
    said = str(error.value)
    assert len(error.value.problems) == 3 and named(said, names[2], "licence")
    assert all(named(said, f"{built / name}.parquet", "missing or damaged") for name in names[:2])


@pytest.mark.parametrize("public", [False, True])
def test_it_is_published_for_you_alone_unless_you_say_otherwise(
    built: Path, names: list[str], public: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(private=not public)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    licensed = {
        name: replace(task, source=replace(task.source, licence="MIT"))
        for name, task in suite_tasks().items()
    }
    monkeypatch.setattr(publishing, "suite_tasks", lambda: licensed)
    assert push(built, "me/suite", public=public) == "https://hub/commit/1"
    assert hub.calls == [("me/suite", {"repo_type": "dataset", "private": not public, "exist_ok": True})]
    assert hub.uploaded == sorted(["README.md", "manifest.json", *(f"data/{name}.parquet" for name in names)])


def test_a_data_set_that_everybody_sees_gets_nothing_without_being_told_so(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(private=False)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    with pytest.raises(UserError, match=naming("me/suite", "--public")):
        push(built, "me/suite")
    assert not hub.uploaded


def test_offline_and_a_wrong_name_are_one_message(built: Path) -> None:
    for repo in ("me/suite", "no good name", "a/b/c"):
        with pytest.raises(UserError, match=repo) as error:
            push(built, repo)
        assert len(error.value.problems) == 1
