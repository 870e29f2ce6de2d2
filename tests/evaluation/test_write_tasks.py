"""Task files are what their script writes, short, and every one of them loads."""

import logging
from collections import Counter
from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager

from spectrum_trl.evaluation.harness import HarnessTask
from spectrum_trl.evaluation.write_tasks import HELD_OUT, QUICK, TAGS, contents, outdated, task_files
from spectrum_trl.paths import TINY_BASE, bundled

FILES = sorted(bundled("tasks").glob("*/*.yaml"))


@pytest.mark.parametrize("axis", TAGS)
def test_files_are_what_the_script_writes(axis: str) -> None:
    folder = bundled("tasks") / axis
    found = {file.name: file.read_text("utf-8") for file in folder.glob("*") if file.is_file()}
    assert found == contents(axis), "run `make tasks`, and move what it does not write elsewhere"


@pytest.mark.parametrize("axis", TAGS)
def test_only_files_of_deleted_tasks_are_removed(axis: str, tmp_path: Path) -> None:
    for name, text in contents(axis).items():
        (tmp_path / name).write_text(text)
    assert outdated(axis, tmp_path) == []
    name = task_files(axis)[0][0].name
    written = contents(axis)[f"{TAGS[axis]}_{name}.yaml"]
    (tmp_path / "deleted.yaml").write_text(written.replace(name, "deleted"))
    # A contributor's own files and folders.
    (tmp_path / "mine.yaml").write_text(f"{written}num_fewshot: 3\n")
    (tmp_path / "latin1.yaml").write_bytes("task: größe".encode("latin1"))
    (tmp_path / "drafts.yaml").mkdir()
    assert outdated(axis, tmp_path) == [tmp_path / "deleted.yaml"]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> TaskManager:
    # Few sequences and no real data: loading is what is tested.
    few = {"sequences": 3, "data_dir": str(tmp_path_factory.mktemp("no_data"))}
    return TaskManager(
        include_path=str(bundled("tasks")),
        include_defaults=False,
        metadata={"pretrained": str(TINY_BASE), **few},
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_task_file_loads_or_says_what_is_missing(
    file: Path, manager: TaskManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (task,) = manager.load([file.stem])["tasks"].values()
    assert task.VERSION == 1.0
    task.build_all_requests(limit=1)
    assert task.instances
    if file.parent.name not in TAGS:
        return
    assert len(file.read_text("utf-8").splitlines()) <= 4
    assert isinstance(task, HarnessTask)
    assert (task.missing is not None) == ("data are missing" in caplog.text)


def test_tags_reach_their_tasks(manager: TaskManager) -> None:
    counts = Counter(file.parent.name for file in FILES)
    for axis, tag in TAGS.items():
        assert len(manager.task_index[tag].tags) == counts[axis] == len(task_files(axis))
    quick = manager.task_index[QUICK].tags
    assert all(f"{TAGS[axis]}_" in " ".join(quick) for axis in TAGS)
    assert manager.task_index[HELD_OUT].tags <= manager.task_index[TAGS["icl"]].tags


def test_no_group_is_named_like_a_task(manager: TaskManager) -> None:
    # lm-eval dies of duplicates where a pattern reaches a group and its tasks.
    assert not [name for name in manager.all_groups if name.startswith("spectrum_")]
