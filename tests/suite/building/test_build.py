"""A build is the same bytes whatever way it was made, goes on where one stopped, and tells what it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.files import sha256_of
from spectrum_trl.suite.building import build as building
from spectrum_trl.suite.building.build import Built, build_suite
from spectrum_trl.suite.building.manifest import read_manifest
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.fetching import lock
from spectrum_trl.suite.task import Data
from tests.messages import naming
from tests.processes import ROOT, run_recipe

KILLED = """
import os, signal, sys
from pathlib import Path

from spectrum_trl.suite.building import build, record

data, output, stops, *names = sys.argv[1:]
write = record.write_sequences


def killing(sequences, path):
    def some():
        for number, sequence in enumerate(sequences):
            if number == 1 and path.stem == stops:
                os.kill(os.getpid(), signal.SIGKILL)
            yield sequence

    return write(some(), path)


record.write_sequences = killing
build.build_suite(names, output=Path(output), data_dir=Path(data), seed=0)
"""
FULL = """
import resource, signal, sys
from pathlib import Path

from spectrum_trl.errors import user_errors
from spectrum_trl.suite.building.build import build_suite

data, output, *names = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
sys.stdout = sys.stderr
with user_errors():
    build_suite(names, output=Path(output), data_dir=Path(data), seed=0)
"""


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the locks, which are empty."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


def build(names: Iterable[str], data: Path, output: Path, **settings: Any) -> list[Built]:
    return build_suite(list(names), output=output, data_dir=data, **{"seed": 0, **settings})


def script(folder: Path, text: str) -> Path:
    (folder / "script.py").write_text(text)
    return folder / "script.py"


def test_the_bytes_depend_neither_on_processes_nor_on_the_order(
    data: Path, names: list[str], tmp_path: Path
) -> None:
    told: list[Built] = []
    first = build(names, data, tmp_path / "one", progress=told.append)
    assert first == told and [each.task for each in first] == names and not any(each.kept for each in first)
    second = build(names[::-1], data, tmp_path / "two", num_proc=2)
    assert [each.task for each in second] == names[::-1]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(contents(tmp_path / "one")) == {
        "manifest.json",
        *(f"{name}.{end}" for name in names for end in ("parquet", "json")),
    }


def test_the_manifest_says_what_each_file_was_made_from(data: Path, names: list[str], tmp_path: Path) -> None:
    build(names, data, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None and (manifest["seed"], manifest["sampling"]) == (0, "default")
    assert list(manifest["tasks"]) == sorted(names)
    for name, record in manifest["tasks"].items():
        assert record["sha256"] == sha256_of(tmp_path / "out" / f"{name}.parquet")
        assert set(record["files"]) == set(suite_tasks()[name].paths(data))
        for path, known in record["files"].items():
            assert known == {"sha256": sha256_of(data / path), "bytes": (data / path).stat().st_size}
        assert record["sequences"] > 0 and record["outputs"] >= record["sequences"]
    assert read_manifest(data) is None and read_manifest(tmp_path / "none") is None


def test_a_build_that_was_killed_is_finished_by_the_next(
    data: Path, names: list[str], tmp_path: Path
) -> None:
    build(names, data, tmp_path / "whole")
    words = (data, tmp_path / "out", names[2], *names)
    assert run_recipe(script(tmp_path, KILLED), *words).returncode == -signal.SIGKILL
    left = {path.name for path in (tmp_path / "out").iterdir()}
    # Half of a file is there, under another name.
    assert any(name.endswith(".tmp") for name in left) and f"{names[2]}.parquet" not in left
    done = {f"{name}.{end}" for name in names[:2] for end in ("parquet", "json")}
    assert done <= left and "manifest.json" not in left
    # Without a manifest, too, another seed does not mix in.
    with pytest.raises(UserError, match=naming(tmp_path / "out", "seed 0")):
        build(names, data, tmp_path / "out", seed=1)
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in done}
    found = build(names, data, tmp_path / "out")
    assert [each.kept for each in found] == [True, True] + [False] * (len(names) - 2)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert times == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in done}


@pytest.mark.parametrize("damage", ["truncated", "other", "removed", "no record", "record", "record list"])
def test_what_is_damaged_is_built_again(data: Path, names: list[str], tmp_path: Path, damage: str) -> None:
    out = tmp_path / "out"
    build(names, data, out)
    whole = contents(out)
    path, record = out / f"{names[0]}.parquet", out / f"{names[0]}.json"
    match damage:
        case "truncated":
            path.write_bytes(path.read_bytes()[:-9])
        case "other":
            path.write_bytes(path.read_bytes()[::-1])
        case "removed":
            path.unlink()
        case "no record":
            record.unlink()
        case "record":
            record.write_bytes(record.read_bytes()[:40])
        case _:
            record.write_text("[1]")
    # A build of other tasks takes no offence.
    assert [each.kept for each in build(names[1:], data, out)] == [True] * (len(names) - 1)
    assert [each.kept for each in build(names, data, out)] == [False] + [True] * (len(names) - 1)
    assert contents(out) == whole


def test_a_changed_source_file_is_built_again(data: Path, names: list[str], tmp_path: Path) -> None:
    build(names, data, tmp_path / "out")
    path = next(iter(suite_tasks()["haikus"].paths(data).values()))
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])
    kept = {each.task: each.kept for each in build(names, data, tmp_path / "out")}
    assert kept == {name: name != "haikus" for name in names}


def test_changed_code_and_libraries_are_built_again(
    data: Path, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(names[:1], data, tmp_path / "out")
    for change in ("code_digest", "libraries"):
        monkeypatch.setattr(f"spectrum_trl.suite.building.record.{change}", lambda: "another")
        assert [each.kept for each in build(names[:1], data, tmp_path / "out")] == [False]


def test_a_file_that_changed_since_it_was_fetched_is_refused(
    data: Path, names: list[str], tmp_path: Path
) -> None:
    paths = suite_tasks()["haikus"].paths(data)
    with lock.changing_lock(data) as changed:
        for name, path in paths.items():
            changed["files"][name] = lock.Entry(sha256_of(path), path.stat().st_size, "", "")._asdict()
    build(["haikus"], data, tmp_path / "one")
    name, path = next(iter(paths.items()))
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(UserError, match=naming("haikus.csv", "changed")) as error:
        build(["haikus", names[0]], data, tmp_path / "two")
    assert name in str(error.value) and len(error.value.problems) == 1
    # What could be built is kept, and nothing of the other is there.
    assert set(contents(tmp_path / "two")) == {f"{names[0]}.parquet", f"{names[0]}.json", "manifest.json"}


def test_other_settings_in_the_same_folder_are_refused(data: Path, names: list[str], tmp_path: Path) -> None:
    build(names[:1], data, tmp_path / "out")
    before = contents(tmp_path / "out")
    for settings in ({"seed": 1}, {"paper": True}):
        with pytest.raises(UserError, match=naming(tmp_path / "out", "seed 0", "default sampling")):
            build(names[1:], data, tmp_path / "out", **settings)
    assert contents(tmp_path / "out") == before


def test_other_files_in_the_folder_are_left_alone(data: Path, names: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mine = {"mine.json": b"[]", "mine.parquet": b"x", "other.json": b"{", "notes.txt": b"hello"}
    for name, content in mine.items():
        (out / name).write_bytes(content)
    build(names[:1], data, out)
    assert mine.items() <= contents(out).items()
    assert list((read_manifest(out) or {})["tasks"]) == names[:1]


def test_files_that_no_build_wrote_are_neither_replaced_nor_removed(
    data: Path, names: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mine = {f"{names[0]}.json": b"{}", f"{names[1]}.parquet": b"x", "manifest.json": b'{"mine": 1}'}
    for number in range(len(mine)):
        for name, content in list(mine.items())[number:]:
            (out / name).write_bytes(content)
        with pytest.raises(UserError, match=naming(out / list(mine)[number], "--output")) as error:
            build(names, data, out)
        assert len(error.value.problems) == len(mine) - number
        assert contents(out) == dict(list(mine.items())[number:]) and not list(out.glob(".*"))
        (out / list(mine)[number]).unlink()
    (out / f"{names[0]}.parquet").mkdir()
    with pytest.raises(UserError, match=naming(out / f"{names[0]}.parquet", "--output")):
        build(names, data, out)


def test_only_leftovers_of_a_build_are_removed(data: Path, names: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / f".{names[0]}.parquet.8.tmp").mkdir(parents=True)
    kept = {".notes.tmp", ".other.parquet.12.tmp", f".{names[0]}.csv.12.tmp", f".{names[0]}.json.x.tmp"}
    ours = {f".{names[0]}.parquet.12.tmp", f".{names[1]}.json.3.tmp", ".manifest.json.12.tmp"}
    for name in kept | ours:
        (out / name).write_bytes(b"x")
    build(names, data, out)
    assert {path.name for path in out.glob(".*.tmp")} == kept | {f".{names[0]}.parquet.8.tmp"}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": None},
        {"seed": "0"},
        {"version": ["0"]},
        {"tasks": {"haikus": None}},
        {"tasks": []},
        {"tasks": {"haikus": {}}},
        {"sequences": "many"},
        {"outputs": None},
        {"sha256": 3},
        {"dropped": {"a reason": "3"}},
        {"task": "chemistry_esol"},
        "cut",
    ],
    ids=str,
)
def test_a_damaged_manifest_is_told(
    data: Path, names: list[str], tmp_path: Path, change: dict[str, Any] | str
) -> None:
    out = tmp_path / "out"
    build(names, data, out)
    text = (out / "manifest.json").read_text()
    found = json.loads(text)
    if isinstance(change, str):
        (out / "manifest.json").write_text(text[:200])
    else:
        whole = change.keys() & found.keys()
        (found if whole else found["tasks"]["haikus"]).update(change)
        (out / "manifest.json").write_text(json.dumps({k: v for k, v in found.items() if v is not None}))
    with pytest.raises(UserError, match=naming("manifest.json", "damaged", "delete")):
        read_manifest(out)
    (out / "manifest.json").unlink()
    assert all(each.kept for each in build(names, data, out))


def test_a_folder_where_a_data_file_belongs_is_told(data: Path, names: list[str], tmp_path: Path) -> None:
    path = next(iter(suite_tasks()["haikus"].paths(data).values()))
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=naming(path, "a folder")):
        build(["haikus"], data, tmp_path / "out")


SLOW = """
import os, signal, sys, time
from pathlib import Path

if __name__ == "__main__":
    from spectrum_trl.commands.data_tables import build_with_progress
    from spectrum_trl.errors import ended_by_sigterm

    # What a shell starts in the background ignores Ctrl-C, and so does all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data, output, *names = sys.argv[1:]
    with ended_by_sigterm():
        build_with_progress(
            names, output=Path(output), data_dir=Path(data), seed=0, num_proc=2, paper=False
        )
else:
    from spectrum_trl.suite.building import record

    def endless(sequences, path):
        path.with_name(f".{path.name}.{os.getpid()}.tmp").touch()
        Path(path.parent, f"{os.getpid()}.pid").touch()
        time.sleep(300)

    record.write_sequences = endless
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_processes_that_build_end_with_the_one_that_started_them(
    data: Path, names: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    words = (sys.executable, script(tmp_path, SLOW), data, out, *names)
    process = subprocess.Popen([*map(str, words)], env={**os.environ, "PYTHONPATH": str(ROOT)})

    def wait_for(condition: Any) -> None:
        begin = time.monotonic()
        while not condition():
            assert time.monotonic() < begin + 60
            time.sleep(0.1)

    wait_for(lambda: len(list(out.glob("*.pid"))) == 2)
    workers = [int(path.stem) for path in out.glob("*.pid")]
    process.send_signal(number)
    assert process.wait(30) != 0
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    if number != signal.SIGKILL:
        assert not list(out.glob(".*.tmp"))


def test_the_library_datasets_reads_the_files(data: Path, names: list[str], tmp_path: Path) -> None:
    build(names, data, tmp_path / "out")
    every = datasets.load_dataset("parquet", data_files=str(tmp_path / "out" / "*.parquet"), split="train")
    assert set(every["task"]) == set(names)
    task = suite_tasks()[names[0]]
    mine = datasets.load_dataset(
        "parquet", data_files={"test": str(tmp_path / "out" / f"{names[0]}.parquet")}
    )
    wanted = list(task.sequences(data, seed=0))
    assert mine["test"]["messages"] == [each.messages for each in wanted]
    assert mine["test"]["n_outputs"] == [each.n_outputs for each in wanted]


def test_a_folder_that_cannot_be_made_is_one_message(data: Path, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    # A folder of the system in which nobody makes others, whoever runs the tests.
    for output, said in ((tmp_path / "file", "is a file"), (tmp_path / "file/out", "is a file"), (Path("/proc/out"), "cannot be written")):  # fmt: skip  # noqa: E501
        with pytest.raises(UserError, match=said) as error:
            build(names, data, output)
        assert len(error.value.problems) == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_is_one_message_and_leaves_no_half(data: Path, names: list[str], tmp_path: Path) -> None:
    # No file may be longer than 3,000 bytes, which the system says as it says that a disk is full.
    build(names, data, tmp_path / "whole")
    sizes = {name: (tmp_path / "whole" / f"{name}.parquet").stat().st_size for name in names}
    large = [name for name, size in sizes.items() if size > 3000][0]
    done = run_recipe(script(tmp_path, FULL), data, tmp_path / "out", large)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "cannot be written: " in done.stderr and done.stderr.count("error:") == 1
    assert not {name for name in contents(tmp_path / "out") if large in name or name.endswith(".tmp")}


@pytest.mark.parametrize("num_proc", [1, 2])
def test_what_can_be_built_is_kept_when_something_cannot(
    data: Path, names: list[str], tmp_path: Path, num_proc: int
) -> None:
    for path in suite_tasks()["haikus"].paths(data).values():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="is empty|not valid|no usable row|holds no"):
        build(names, data, tmp_path / "out", num_proc=num_proc)
    assert list((read_manifest(tmp_path / "out") or {})["tasks"]) == sorted(set(names) - {"haikus"})


def test_a_task_of_which_nothing_comes_is_told(
    data: Path, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(data: Data) -> Any:
        data.dropped["empty output"] += 5
        return iter(())

    task = replace(suite_tasks()[names[0]], build=nothing)
    monkeypatch.setattr(building, "suite_tasks", lambda: {task.name: task})
    with pytest.raises(UserError, match=naming(task.name, "left out", "5")):
        build([task.name], data, tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {"manifest.json"}


def test_what_may_be_stored_nowhere_is_not_built(
    data: Path, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = suite_tasks()[names[0]]
    private = replace(task, source=replace(task.source, private=True))
    monkeypatch.setattr(building, "suite_tasks", lambda: {task.name: private})
    with pytest.raises(UserError, match=naming(task.name, "authors")):
        build([task.name], data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_build_is_no_data_folder(data: Path, names: list[str], tmp_path: Path) -> None:
    build(names, data, tmp_path / "out")
    with pytest.raises(UserError, match=naming(tmp_path / "out", "build")):
        build(names, tmp_path / "out", tmp_path / "out2")


def test_the_records_are_plain_json(data: Path, names: list[str], tmp_path: Path) -> None:
    build(names[:1], data, tmp_path / "out")
    record = json.loads((tmp_path / "out" / f"{names[0]}.json").read_text("utf-8"))
    assert record == (read_manifest(tmp_path / "out") or {})["tasks"][names[0]]
