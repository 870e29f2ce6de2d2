"""`load` returns a task as a data set, or says in one message how it can be had."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.files import sha256_of
from spectrum_trl.suite import load
from spectrum_trl.suite.building import load as loading
from spectrum_trl.suite.building.build import build_suite
from spectrum_trl.suite.building.record import SCHEMA
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.own.table import read_own
from tests.messages import naming

TABLE = "user,stars\n" + "".join(f"u{user},{n}\n" for n in range(3) for user in range(40))


def declare(folder: Path, **keys: object) -> str:
    (folder / "mine.csv").write_text(TABLE)
    given = {"file": "mine.csv", "group_by": "user", "output": "stars", "descriptions": ["x"], **keys}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"task": "mine", "spectrum": given}))
    return str(folder / "mine.yaml")


def test_a_task_is_a_data_set_of_its_sequences(data: Path, names: list[str]) -> None:
    for name in (*names, "coinflip"):
        task = suite_tasks()[name]
        found = load(name, data_dir=data, seed=2)
        assert found.column_names == SCHEMA.names and str(found.split) == task.split
        wanted = list(task.sequences(data, seed=2))[:50]
        assert found[:50]["messages"] == [each.messages for each in wanted]
        assert set(found["task"]) == {name} and set(found["source"]) == {task.source.name}
        assert set(found["split"]) == {task.split} and set(found["kind"]) == {task.kind}
        assert found[:50]["n_outputs"] == [each.n_outputs for each in wanted]
        assert len(load(name, data_dir=data, seed=2, split=task.split)) == len(found)


def test_loading_again_neither_builds_nor_copies_again(data: Path, tmp_path: Path, cache: Path) -> None:
    def files() -> dict[Path, int]:
        folders = (cache, tmp_path / "datasets")
        every = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {path: path.stat().st_size for path in every if path.suffix != ".lock"}

    first = load("haikus", data_dir=data)
    before = files()
    assert before
    assert load("haikus", data_dir=str(data))["messages"] == first["messages"]
    assert files() == before


def test_the_data_folder_is_found_by_the_environment(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTRUM_DATA", str(data))
    assert len(load("haikus"))
    monkeypatch.setenv("SPECTRUM_DATA", str(data / "none"))
    with pytest.raises(MissingData, match=naming("SPECTRUM_DATA", "none", "not a folder")):
        load("haikus")


def test_a_folder_of_built_tasks_will_do(data: Path, names: list[str], tmp_path: Path) -> None:
    build_suite(names[:-1], output=tmp_path / "out", data_dir=data, seed=0)
    assert load(names[0], data_dir=tmp_path / "out")["messages"] == load(names[0], data_dir=data)["messages"]
    assert len(load("coinflip", data_dir=tmp_path / "out", seed=5))
    assert len(load(declare(tmp_path), data_dir=tmp_path / "out"))
    with pytest.raises(MissingData, match=naming(f"{names[-1]}.parquet", "spectrum-trl data build --output")):
        load(names[-1], data_dir=tmp_path / "out")
    with pytest.raises(UserError, match=naming("seed 0", "seed 1", "mixture_seed")):
        load(names[0], data_dir=tmp_path / "out", seed=1)


def test_an_own_table_has_the_splits_that_its_share_makes(tmp_path: Path) -> None:
    file = declare(tmp_path, test_share=0.3)
    every, train, test = (load(file, data_dir=tmp_path, split=split) for split in (None, "train", "test"))
    assert set(train["split"]) == {"train"} and set(test["split"]) == {"test"}
    assert not set(train["sequence_id"]) & set(test["sequence_id"])
    assert every["sequence_id"] == train["sequence_id"][:] + test["sequence_id"][:] and len(every) == 40
    file = declare(tmp_path)
    assert set(load(file, data_dir=tmp_path)["split"]) == {"test"}
    # Without a share all groups are in whatever split is asked for, as in a recipe that trains on them.
    assert set(load(file, data_dir=tmp_path, split="train")["split"]) == {"train"}


def test_a_private_source_is_never_written_to_disk(
    data: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = suite_tasks()["haikus"]
    private = replace(task, source=replace(task.source, private=True))
    monkeypatch.setattr(loading, "suite_tasks", lambda: {"haikus": private})
    before = {path for path in tmp_path.rglob("*")}
    found = load("haikus", data_dir=data)
    assert found["messages"] == [each.messages for each in task.sequences(data, seed=0)]
    assert not found.cache_files and {path for path in tmp_path.rglob("*")} == before
    monkeypatch.undo()
    monkeypatch.setenv("SPECTRUM_CACHE", str(cache))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    assert load("haikus", data_dir=data).features == found.features


def test_a_cache_of_the_library_datasets_that_cannot_be_written_is_one_message(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "file")
    with pytest.raises(UserError, match=naming(tmp_path / "file", "HF_DATASETS_CACHE")):
        load("haikus", data_dir=data)


def test_a_sum_that_is_given_is_that_of_what_is_there(tmp_path: Path) -> None:
    file = declare(tmp_path, file="https://example.org/a.csv", sha256="0" * 64)
    place = tmp_path / read_own(Path(file)).files[0]
    place.parent.mkdir(parents=True)
    place.write_text(TABLE)
    with pytest.raises(UserError, match=naming("a.csv", "sha256")):
        load(file, data_dir=tmp_path)
    file = declare(tmp_path, file="https://example.org/a.csv", sha256=sha256_of(place))
    other = tmp_path / read_own(Path(file)).files[0]
    other.parent.mkdir(parents=True)
    place.rename(other)
    assert len(load(file, data_dir=tmp_path)) == 40


def test_missing_data_say_how_they_can_be_had(data: Path) -> None:
    states = {
        task.source.access: task
        for task in suite_tasks().values()
        if not task.synthetic and task.missing(data)
    }
    assert {"fetch", "consent", "manual"} <= states.keys()
    for access, task in states.items():
        with pytest.raises(MissingData) as error:
            load(task.name, data_dir=data)
        said = str(error.value)
        assert task.files[0] in said and str(data) in said
        source = task.source
        match access:
            case "fetch":
                assert f"spectrum-trl data fetch {source.name}" in said
            case "consent":
                assert source.terms in said and "--accept" in said
            case "manual":
                assert all(step in said for step in source.steps)
            case "request":
                assert source.ask in said


def test_an_own_table_on_the_web_is_not_told_to_be_fetched_by_a_command(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="own/mine-[0-9a-f]{8}/a.csv.*HF_HUB_OFFLINE"):
        load(declare(tmp_path, file="https://example.org/a.csv"), data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "split", "said"),
    [
        ("haiku", None, ["'haiku'", "'haikus'"]),
        ("haikus", "test", ["haikus", "'test'", "train"]),
        ("haikus", "validation", ["split", "train", "test", "'validation'"]),
        ("none.yaml", None, ["none.yaml", "exist"]),
    ],
)
def test_unknown_names_and_splits_are_told(data: Path, name: str, split: str | None, said: list[str]) -> None:
    with pytest.raises(UserError, match=naming(*said)):
        load(name, data_dir=data, split=split)


def test_a_negative_seed_is_one_message() -> None:
    with pytest.raises(UserError, match=naming("seed", 0, "-1")):
        load("coinflip", seed=-1)


def test_a_task_that_a_build_lacks_is_built_into_that_folder_not_fetched(data: Path, tmp_path: Path) -> None:
    build_suite(["titanic_survival_prediction"], output=tmp_path / "out", data_dir=data, seed=0)
    with pytest.raises(
        MissingData, match=naming("polis_vote", f"spectrum-trl data build --output {tmp_path / 'out'}")
    ):
        load("polis_vote", data_dir=tmp_path / "out")
