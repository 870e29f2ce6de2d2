"""Data sets of the Hub come whole or count as not there, from the revision that was asked for."""

from pathlib import Path

import pytest
import yaml

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite import load
from spectrum_trl.suite.fetching.fetch import fetch
from spectrum_trl.suite.fetching.lock import read_lock
from spectrum_trl.suite.fetching.status import status
from spectrum_trl.suite.own.table import read_own
from spectrum_trl.suite.source import HubFiles, Source
from tests.messages import naming
from tests.suite.fetching.server import Hub

SHARDS = [f"data/train-{n}.csv" for n in range(5)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTRUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def shard(user: str) -> bytes:
    return f"user,stars\n{user},1\n{user},2\n".encode()


def declare(folder: Path, file: str) -> str:
    keys = {"file": file, "output": "stars", "group_by": "user", "descriptions": ["x"]}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"task": "mine", "spectrum": keys}))
    return str(folder / "mine.yaml")


def users(file: str, data: Path) -> list[str]:
    return sorted(load(file, data_dir=data)["sequence_id"])


def test_a_data_set_that_came_in_part_counts_as_not_there(hub: Hub, tmp_path: Path) -> None:
    hub.files["main"] = {name: shard(f"u{n}") for n, name in enumerate(SHARDS)}
    hub.broken = set(SHARDS[3:])
    file, task = declare(tmp_path, "hf://datasets/me/films/data/*.csv"), None
    for _ in range(2):
        with pytest.raises(MissingData, match=naming("me/films", "HF_HUB_OFFLINE")):
            users(file, tmp_path)
    task = read_own(Path(file))
    assert task.paths(tmp_path) and task.missing(tmp_path) == list(task.files)
    assert "did not finish" in status(task, data_dir=tmp_path).how
    hub.broken.clear()
    assert users(file, tmp_path) == ["u0", "u1", "u2", "u3", "u4"]
    assert not task.missing(tmp_path) and status(task, data_dir=tmp_path).state == "ready"
    before = len(hub.asked)
    assert users(file, tmp_path) == ["u0", "u1", "u2", "u3", "u4"] and len(hub.asked) == before


def test_what_was_put_there_by_hand_counts(hub: Hub, tmp_path: Path) -> None:
    file = declare(tmp_path, "hf://datasets/me/films/data/*.csv")
    place = tmp_path / read_own(Path(file)).files[0].replace("*", "mine")
    place.parent.mkdir(parents=True)
    place.write_bytes(shard("ann"))
    assert users(file, tmp_path) == ["ann"] and not hub.asked


def test_a_pattern_at_the_root_reaches_folders(hub: Hub, tmp_path: Path) -> None:
    hub.files["main"] = {SHARDS[0]: shard("ann")}
    assert users(declare(tmp_path, "hf://datasets/me/films/*.csv"), tmp_path) == ["ann"]


def test_another_revision_is_fetched_and_told_apart_in_the_lock_file(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"v1": {"a.csv": shard("ann")}, "v2": {"a.csv": shard("bob")}}
    for revision, user in (("v1", "ann"), ("v2", "bob"), ("v1", "ann")):
        assert users(declare(tmp_path, f"hf://datasets/me/films@{revision}/a.csv"), tmp_path) == [user]
    known = {f"me/films@{name}": hub.commit(name) for name in ("v1", "v2")}
    assert read_lock(tmp_path)["revisions"] == known


def test_again_takes_the_newest_commit_and_removes_what_is_no_more(hub: Hub, tmp_path: Path) -> None:
    films = Source(
        name="films",
        title="Films",
        downloads=(HubFiles(path="hub/films", repo="me/films", files=("data/*",)),),
    )
    hub.files["main"] = {name: shard("ann") for name in SHARDS}
    fetch([films], data_dir=tmp_path)
    hub.files = {"old": hub.files["main"], "main": {SHARDS[0]: shard("bob"), "data/new.csv": shard("eve")}}
    assert fetch([films], data_dir=tmp_path)[0].kept == 1
    (tmp_path / "hub/films" / SHARDS[1]).unlink()
    # The commit of the first fetch is taken as long as nobody says otherwise.
    assert fetch([films], data_dir=tmp_path)[0].files == 5
    assert (tmp_path / "hub/films" / SHARDS[0]).read_bytes() == shard("ann")
    assert fetch([films], data_dir=tmp_path, again=True)[0].files == 2
    assert {path.name for path in (tmp_path / "hub/films/data").iterdir()} == {"train-0.csv", "new.csv"}
    assert (tmp_path / "hub/films" / SHARDS[0]).read_bytes() == shard("bob")


def test_a_name_that_leaves_its_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files["main"] = {"data/../../../../evil.csv": shard("ann"), SHARDS[0]: shard("ann")}
    films = Source(
        name="films",
        title="Films",
        downloads=(HubFiles(path="hub/films", repo="me/films", files=("data/*",)),),
    )
    with pytest.raises(UserError, match=naming("me/films", "data/../../../../evil.csv")):
        fetch([films], data_dir=tmp_path)
