"""A task is built once for all who ask, again when something changed, and a folder of built tasks will do."""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.suite.building import cache as caching
from spectrum_trl.suite.building.build import build_suite
from spectrum_trl.suite.building.cache import built, built_sequences, missing
from spectrum_trl.suite.building.record import build, record_file
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.own.table import read_own
from spectrum_trl.suite.task import SampleSequence, Task
from tests.messages import naming
from tests.processes import start_recipe

ASKS = """
import os, sys
from collections import Counter
from pathlib import Path

from spectrum_trl.suite.building import cache
from spectrum_trl.suite.catalogue import suite_tasks

data, name, log = sys.argv[1:]
build = cache.build


def telling(*given, **settings):
    with open(log, "a") as file:
        file.write("built\\n")
    return build(*given, **settings)


cache.build = telling
print(len(list(cache.built_sequences(suite_tasks()[name], data_dir=Path(data), seed=0, dropped=Counter()))))
"""


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that were built, in order."""
    found: list[str] = []

    def telling(task: Task, *given: Any, **settings: Any) -> Any:
        found.append(task.name)
        return build(task, *given, **settings)

    monkeypatch.setattr(caching, "build", telling)
    return found


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Task]:
    """Declare a table of the user's."""
    (tmp_path / "mine.csv").write_text("user,stars\nann,1\nann,2\nbob,3\n")

    def declare(**keys: Any) -> Task:
        given = {"file": "mine.csv", "group_by": "user", "output": "stars", "descriptions": ["x"], **keys}
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump({"task": "titanic_survival_prediction", "spectrum": given}))
        return read_own(file)

    return declare


def ask(
    task: Task, data: Path, *, seed: int = 0, **settings: Any
) -> tuple[list[SampleSequence], Counter[str]]:
    dropped: Counter[str] = Counter()
    return list(built_sequences(task, data_dir=data, seed=seed, dropped=dropped, **settings)), dropped


def test_what_comes_from_the_cache_is_what_the_task_yields(
    data: Path, names: list[str], builds: list[str]
) -> None:
    for name in names:
        dropped: Counter[str] = Counter()
        wanted = list(suite_tasks()[name].sequences(data, seed=3, dropped=dropped))
        for _ in range(2):
            assert ask(suite_tasks()[name], data, seed=3) == (wanted, +dropped)
    assert builds == names


def test_other_seeds_samplings_and_files_are_other_builds(data: Path, builds: list[str]) -> None:
    task = suite_tasks()["haikus"]
    path = next(iter(task.paths(data).values()))
    for change in (
        lambda: 0,
        lambda: os.utime(path, ns=(1, 1)),
        lambda: path.write_bytes(path.read_bytes() + b"\n"),
    ):
        change()
        for settings in ({}, {"seed": 1}, {"paper": True}):
            ask(task, data, **settings)
            ask(task, data, **settings)
    assert len(builds) == 9


@pytest.mark.parametrize("part", ["code_digest", "libraries"])
def test_other_code_and_other_versions_of_libraries_are_other_builds(
    data: Path, builds: list[str], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = suite_tasks()["haikus"]
    ask(task, data)
    monkeypatch.setattr(caching, part, lambda: "of another version")
    ask(task, data)
    ask(task, data)
    assert len(builds) == 2


def test_at_most_four_of_a_task_are_kept_those_used_last(data: Path, cache: Path, builds: list[str]) -> None:
    task, other = suite_tasks()["haikus"], suite_tasks()["titanic_survival_prediction"]
    ask(other, data)
    for seed in (0, 1, 2, 3):
        ask(task, data, seed=seed)
    for seed, record in enumerate(
        sorted((cache / "built").glob("haikus-*.json"), key=lambda p: p.stat().st_mtime)
    ):
        os.utime(record, (seed, seed))
    ask(task, data, seed=0)
    for seed in (4, 5):
        ask(task, data, seed=seed)
    for end in ("parquet", "json"):
        assert len(list((cache / "built").glob(f"haikus-*.{end}"))) == 4
    kept = {json.loads(path.read_text())["seed"] for path in (cache / "built").glob("haikus-*.json")}
    assert kept == {0, 3, 4, 5}
    builds.clear()
    ask(task, data, seed=0)
    ask(other, data)
    assert not builds


@pytest.mark.parametrize("damage", ["truncated", "removed", "no record", "record"])
def test_a_damaged_file_is_built_again(data: Path, builds: list[str], damage: str) -> None:
    task = suite_tasks()["haikus"]
    wanted = ask(task, data)
    path = built(task, data_dir=data, seed=0)
    match damage:
        case "truncated":
            path.write_bytes(path.read_bytes()[:100])
        case "removed":
            path.unlink()
        case "no record":
            record_file(path).unlink()
        case _:
            record_file(path).write_text("{")
    assert ask(task, data) == wanted and len(builds) == 2


def test_what_a_killed_process_left_is_removed(data: Path, cache: Path) -> None:
    (cache / "built").mkdir(parents=True)
    left = cache / "built" / f".haikus-{'0' * 16}.parquet.123.tmp"
    left.write_bytes(b"half")
    ask(suite_tasks()["haikus"], data)
    assert not left.exists()


def test_two_processes_that_ask_at_once_build_once(data: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(ASKS)
    words = (tmp_path / "asks.py", data, "haikus", tmp_path / "log")
    outputs = [tmp_path / f"out{n}" for n in range(3)]
    processes = [start_recipe(*words, output=output, SPECTRUM_CACHE=str(cache)) for output in outputs]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3, outputs[0].read_text()
    assert len({output.read_text() for output in outputs}) == 1
    assert (tmp_path / "log").read_text() == "built\n"


def test_synthetic_and_private_tasks_leave_nothing_behind(data: Path, cache: Path) -> None:
    task = suite_tasks()["haikus"]
    private = replace(task, source=replace(task.source, private=True))
    assert ask(private, data)[0] == list(task.sequences(data, seed=0))
    ask(suite_tasks()["coinflip"], data)
    assert not cache.exists()


@pytest.fixture
def folder(data: Path, names: list[str], tmp_path: Path) -> Path:
    """A folder with built tasks, all but the last."""
    build_suite(names[:-1], output=tmp_path / "out", data_dir=data, seed=7)
    return tmp_path / "out"


def test_a_folder_of_built_tasks_will_do(
    data: Path, folder: Path, cache: Path, names: list[str], builds: list[str]
) -> None:
    for name in names[:-1]:
        assert not missing(suite_tasks()[name], data_dir=folder)
        assert ask(suite_tasks()[name], folder, seed=7) == ask(suite_tasks()[name], data, seed=7)
    assert builds == names[:-1]
    last = suite_tasks()[names[-1]]
    assert missing(last, data_dir=folder) == [f"{last.name}.parquet"] and not missing(last, data_dir=data)
    assert missing(last, data_dir=None) == list(last.files)


def test_what_a_folder_of_built_tasks_cannot_serve_is_told(folder: Path, names: list[str]) -> None:
    task = suite_tasks()[names[0]]
    for settings, asked in (({"seed": 8}, "seed 8"), ({"seed": 7, "paper": True}, "paper sampling")):
        with pytest.raises(UserError, match=naming("seed 7 and default sampling", asked, "mixture_seed")):
            ask(task, folder, **settings)
    with pytest.raises(UserError, match=naming(folder, names[-1], "data_dir")):
        ask(suite_tasks()[names[-1]], folder, seed=7)
    path = folder / f"{names[0]}.parquet"
    for damaged in (path.read_bytes()[:-9], None):
        path.write_bytes(damaged) if damaged else path.unlink()
        with pytest.raises(UserError, match=naming(f"{names[0]}.parquet", "build")):
            ask(task, folder, seed=7)


def test_synthetic_and_own_tasks_do_not_come_from_a_folder_of_built_ones(
    folder: Path, own: Callable[..., Task]
) -> None:
    # Even where the user gave theirs the name of one that was built.
    assert not missing(own(), data_dir=folder) and not missing(suite_tasks()["coinflip"], data_dir=folder)
    found, _ = ask(own(), folder, seed=0)
    assert {each.sequence_id for each in found} == {"ann", "bob"}
    assert ask(suite_tasks()["coinflip"], folder, seed=1)[0]
    assert built(suite_tasks()["coinflip"], data_dir=folder, seed=1).is_file()


def test_an_own_table_is_built_again_when_anything_that_was_said_of_it_changes(
    own: Callable[..., Task], data: Path, builds: list[str]
) -> None:
    for keys in (
        {},
        {"descriptions": ["y"]},
        {"kind": "population"},
        {"mean_length": 3},
        {"mean_length": 4},
        {"length": 1},
        {"candidates": ["1"]},
        {"candidates": {"1": "one"}},
        {"at_least": 2},
    ):
        task = own(**keys)
        found = ask(task, data)
        assert ask(own(**keys), data) == found
        assert found[0] == list(task.sequences(data, seed=0)) and {each.kind for each in found[0]} == {
            task.kind
        }
    assert len(builds) == 9


def test_a_cache_that_cannot_be_written_is_one_message(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("SPECTRUM_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=naming("file/built", "SPECTRUM_CACHE")):
        ask(suite_tasks()["haikus"], data)
