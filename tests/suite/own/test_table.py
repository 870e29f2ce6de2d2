"""A user's own table: every key does what it says, and all that is wrong is told at once."""

import csv
import datetime
import decimal
import gzip
import io
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.own.table import has_parts, is_own, read_own
from spectrum_trl.suite.source import Download, HubFiles
from spectrum_trl.suite.task import Task

TABLE = "user,film,year,stars\n" + "".join(
    f"{user},{film},19{n}0,{(n + len(user)) % 5}\n"
    for user in ("ann", "bobby", "eve")
    for n, film in enumerate(("Alien", "Heat", "Brazil", "Léon"))
)
LEAST = {
    "file": "films.csv",
    "group_by": "user",
    "output": "stars",
    "descriptions": ["Ratings of one person."],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "films.csv").write_text(TABLE, "utf-8")
    return tmp_path


def declare(folder: Path, text: str | None = None, /, **keys: Any) -> Path:
    file = folder / "mine.yaml"
    given = {key: value for key, value in {**LEAST, **keys}.items() if value != "leave out"}
    file.write_text(text or yaml.safe_dump({"task": "mine", "spectrum": given}, allow_unicode=True), "utf-8")
    return file


def build(task: Task, *, seed: int = 0) -> dict[str, list[tuple[str, str]]]:
    return {
        each.sequence_id: [(turn["role"], turn["content"]) for turn in each.messages]
        for each in task.sequences(Path("nowhere"), seed=seed)
    }


def problems(file: Path) -> list[str]:
    with pytest.raises(UserError) as error:
        read_own(file)
    assert all(problem.startswith(str(file)) for problem in error.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in error.value.problems]


def test_the_least_that_is_needed(folder: Path) -> None:
    task = read_own(declare(folder))
    assert (task.name, task.split, task.kind, task.source.access, task.own) == (
        *("mine", "test", "individual", "generated"),
        True,
    )
    assert task.description_probability == 1.0 and not task.synthetic and not task.missing(Path("nowhere"))
    found = build(task)
    assert list(found) == ["ann", "bobby", "eve"]
    assert found["ann"][0] == ("description", "Ratings of one person.")
    assert sorted(found["ann"][1:]) == [("output", n) for n in "0134"]
    assert found == build(task) != build(task, seed=1)


def test_every_key_does_what_it_says(folder: Path) -> None:
    (folder / "films.csv").write_text(TABLE.replace("bobby,Heat,1910,1", "bobby,Heat,1910,?"), "utf-8")
    file = declare(
        folder,
        group_by=["user"],
        input={"Film": "film", "Year": "year"},
        output="stars",
        descriptions=["{user} rates films {{so}}."],
        description_probability=0.25,
        candidates={"0": "zero", "1": "one", "2": "two", "3": "three", "4": "four"},
        length=2,
        at_least=4,
        kind="population",
    )
    task = read_own(file)
    assert task.kind == "population" and task.description_probability == 0.25
    found = build(task)
    assert list(found) == ["ann/0", "ann/1", "eve/0", "eve/1"]
    description, *turns = found["eve/1"]
    assert description == ("description", "eve rates films {so}.")
    assert [role for role, _ in turns] == ["input", "output"] * 2
    assert turns[0][1].startswith('{"Film": "') and '"Year": "19' in turns[0][1]
    assert {said for _, said in turns[1::2]} <= {"zero", "one", "two", "three", "four"}


def test_rows_without_a_group_are_pooled(folder: Path) -> None:
    for keys, most in (({"length": 5}, 5), ({"mean_length": 3}, 12)):
        found = build(read_own(declare(folder, group_by="leave out", **keys)))
        assert sum(len(turns) - 1 for turns in found.values()) == 12
        assert all(1 <= len(turns) - 1 <= most for turns in found.values())


def test_a_drawn_length_is_printed_the_same_in_every_process(folder: Path) -> None:
    build = read_own(declare(folder, mean_length=4)).build
    assert " at 0x" not in repr(build) and "mean_length=4.0" in repr(build)


def test_candidates_are_compared_without_white_space_around_them(folder: Path) -> None:
    (folder / "films.csv").write_text('user,stars\nann," yes"\nann,no \nann,so\n')
    assert sorted(build(read_own(declare(folder, candidates=["yes ", "no"])))["ann"][1:]) == [
        ("output", "no"),
        ("output", "yes"),
    ]


def test_everything_that_is_wrong_is_told_at_once(folder: Path) -> None:
    file = declare(
        folder,
        group_by="leave out",
        length=3,
        mean_length=4,
        test_share=0.5,
        output={"a": "b"},
        candidates=["1"],
        file="flims.csv",
        descriptions=["{user", "  "],
        sha256="0" * 64,
    )
    found = "\n".join(problems(file))
    for said in (
        "spectrum.mean_length: set length or mean_length",
        "spectrum.test_share: it divides groups, so set group_by",
        "spectrum.candidates: the output has several columns",
        "spectrum.descriptions.1: expected text, found only white space",
        "spectrum.descriptions: '{user': ",
        "flims.csv does not exist. Did you mean 'films.csv'",
        "spectrum.sha256: only files on the web",
    ):
        assert said in found


def test_everything_of_another_type_is_told_at_once_and_each_once(folder: Path) -> None:
    file = declare(
        folder,
        file=5,
        group_by=[1, "user", 2],
        input=3,
        output={"a": True},
        descriptions="one",
        length=0,
        mean_length=1,
        at_least="x",
        kind="person",
        test_share=1,
        description_probability=2,
        candidates=[True],
        sha256="abc",
        lenght=3,
    )
    found = {problem.split(":")[0].removeprefix("spectrum."): problem for problem in problems(file)}
    assert len(found) == len(problems(file))
    assert set(found) == {
        *("file", "group_by.0", "group_by.2", "input", "output.a", "descriptions", "length", "mean_length"),
        *("at_least", "kind", "test_share", "description_probability", "candidates.0", "sha256", "lenght"),
    }
    assert found["file"].endswith("but it is 5; put it in quotation marks")
    assert found["candidates.0"].endswith("but it is true; put it in quotation marks")
    assert "unknown key" in found["lenght"] and "Did you mean 'length'?" in found["lenght"]
    assert '"individual", "population"' in found["kind"]


def test_missing_keys_are_told(folder: Path) -> None:
    found = problems(declare(folder, file="leave out", output="leave out", descriptions="leave out"))
    assert found == [f"spectrum.{key}: this key is missing" for key in ("file", "output", "descriptions")]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"output": " "}, "output: expected text, found only white space"),
        ({"group_by": ["user", ""]}, "group_by.1: expected text, found only white space"),
        ({"input": {"film": ""}}, "input.film: expected text, found only white space"),
        ({"candidates": {"1": " "}}, "candidates.1: expected text, found only white space"),
        ({"candidates": []}, "candidates: "),
        ({"descriptions": []}, "descriptions: "),
        ({"group_by": "leave out"}, "group_by: rows without a group need length or mean_length"),
        ({"group_by": []}, "group_by: rows without a group need length or mean_length"),
        ({"group_by": "leave out", "length": 2, "descriptions": ["By {user}"]}, "descriptions: {user}"),
        ({"descriptions": ["{user!r}"]}, "descriptions: "),
        ({"mean_length": float("inf")}, "mean_length: expected "),
        ({"mean_length": 1e300}, "mean_length: expected a number less than or equal to 1000000"),
        ({"file": "http://[bad.csv"}, "file: 'http://[bad.csv' is not a valid URL"),
        ({"file": "http://example.org:99999/a.csv"}, "file: 'http://example.org:99999/a.csv' is not"),
        ({"file": "https://.csv"}, "file: 'https://.csv' is not the URL of a file"),
        ({"file": "http:///x.csv"}, "file: 'http:///x.csv' is not the URL of a file"),
        ({"file": "https://example.org/q?f=x.csv"}, "file: expected one of .csv"),
        ({"file": f"https://example.org/{'a' * 300}.csv"}, "file: the file name has more than 200 bytes"),
        ({"file": "HTTP://example.org/films"}, "file: expected one of .csv"),
        ({"file": "ftp://example.org/films.csv"}, "file: expected a path, a URL with https:// or http://"),
        ({"test_share": float("nan")}, "test_share: expected "),
        ({"file": "films.xlsx"}, "file: expected one of .csv"),
        ({"file": "films.parquet.gz"}, "file: expected one of .csv"),
        ({"file": "https://example.org/films"}, "file: expected one of .csv"),
        ({"file": "https://example.org/a[1].csv"}, "file: expected the URL of one file"),
        ({"file": "hf://datasets/films.csv"}, "file: expected hf://datasets/OWNER/NAME[@REVISION]/FILE"),
        ({"file": "hf://datasets/me/films.csv"}, "file: expected hf://datasets/OWNER/NAME[@REVISION]/FILE"),
        ({"file": "."}, "file: expected one of .csv"),
        ({5: "x"}, "5: unknown key"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_one_problem(folder: Path, keys: dict[Any, Any], said: str) -> None:
    file = declare(folder)
    own = {key: value for key, value in {**LEAST, **keys}.items() if value != "leave out"}
    file.write_text(yaml.safe_dump({"task": "mine", "spectrum": own}))
    (found,) = problems(file)
    assert found.startswith(f"spectrum.{said}")


@pytest.mark.parametrize("name", ["a/b", "../a", ".a", " ", "x" * 101, "優" * 40, "a\nb", "a*"])
def test_a_name_that_is_no_file_name_is_refused(folder: Path, name: str) -> None:
    file = declare(folder)
    file.write_text(yaml.safe_dump({"task": name, "spectrum": LEAST}))
    assert problems(file)[0].startswith("task: expected a short name")


def test_without_a_name_the_files_is_taken(folder: Path) -> None:
    file = declare(folder)
    file.write_text(yaml.safe_dump({"spectrum": LEAST}))
    assert read_own(file).name == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a mapping"),
        ("- 1", "expected a mapping"),
        ("task: a\nspectrum: films.csv\n", "expected the keys task and spectrum"),
        ("task: [a\n", "is not valid YAML"),
        ("a: !!python/object:os.system {}\n", "mine.yaml, line 1: a: could not determine a constructor"),
        ("a: 1\n--- \nb: 2\n", "is not valid YAML"),
        ("a: &x [*x]\n", "line 1: a value contains itself"),
        ("task: l\nspectrum: &a {x: *a}\n", "line 2: a value contains itself"),
        ("task: \0", "is not valid YAML"),
        ("? [a]\n: 1\n", "mine.yaml, line 1: a key must be a text"),
    ],
)
def test_what_is_no_such_file_is_one_message(folder: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_own(declare(folder, text or "\n"))


def test_a_missing_yaml_file_and_a_folder_are_told(folder: Path) -> None:
    declare(folder)
    with pytest.raises(UserError, match=r"mine\.yml does not exist\. Did you mean 'mine\.yaml'"):
        read_own(folder / "mine.yml")
    (folder / "other.yaml").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_own(folder / "other.yaml")
    assert is_own("a.yaml") and is_own("a/b.yml") and not is_own("polis_vote")


def test_repeated_keys_are_told_with_their_lines(folder: Path) -> None:
    text = "task: a\nspectrum:\n  file: a.csv\n  output: a\n  file: b.csv\ntask: b\n"
    with pytest.raises(UserError) as error:
        read_own(declare(folder, text))
    assert [problem.partition(", ")[2] for problem in error.value.problems] == [
        "line 5: key 'file' repeats line 3; keep one of them",
        "line 6: key 'task' repeats line 1; keep one of them",
    ]


def test_the_harness_reads_the_same_file(folder: Path) -> None:
    text = "task: mine\nclass: !function spectrum_trl.evaluation.icl.Icl\nspectrum:\n"
    text += "".join(f"  {key}: {value}\n" for key, value in LEAST.items())
    assert read_own(declare(folder, text)).name == "mine"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "csv.gz"])
def test_a_table_of_any_kind_gives_the_same_sequences(folder: Path, kind: str) -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE)))
    path = folder / f"other.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        path.write_bytes(gzip.compress(TABLE.encode()) if kind == "csv.gz" else TABLE.encode())
    assert build(read_own(declare(folder, file=f"other.{kind}"))) == build(read_own(declare(folder)))


def test_paths_are_beside_the_file_or_absolute(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    declare(folder)
    relative = build(read_own(Path("mine.yaml")))
    elsewhere = declare(tmp_path_factory.mktemp("elsewhere"), file=str(folder / "films.csv"))
    assert build(read_own(elsewhere)) == relative
    (folder / "films[1]*.csv").write_text(TABLE, "utf-8")
    assert build(read_own(declare(folder, file="films[1]*.csv"))) == relative


def test_addresses_say_what_is_fetched_and_where_it_goes(folder: Path) -> None:
    address = "https://example.org/a/films.csv.gz?token=1"
    task = read_own(declare(folder, file=address, sha256="0" * 64))
    (place,) = task.files
    assert re.fullmatch(r"own/mine-[0-9a-f]{8}/films\.csv\.gz", place) and task.source.access == "fetch"
    assert task.source.downloads == (Download(path=place, url=address, sha256="0" * 64),)
    for revision, added in (("main", ""), ("v1.0", "@v1.0")):
        task = read_own(declare(folder, file=f"hf://datasets/me/films{added}/data/part-*.parquet"))
        (place,) = task.files
        assert re.fullmatch(r"own/mine-[0-9a-f]{8}/data/part-\*\.parquet", place)
        assert task.source.downloads == (
            HubFiles(
                path=place.removesuffix("/data/part-*.parquet"),
                repo="me/films",
                files=("data/part-*.parquet",),
                revision=revision,
            ),
        )
    assert task.missing(folder) == list(task.files)


def test_another_address_or_sum_is_another_place(folder: Path) -> None:
    web, hub = "https://example.org/films.csv", "hf://datasets/me/films"
    every: list[dict[str, Any]] = [
        {"file": web},
        {"file": web.replace("org/", "org/v2/")},
        {"file": web, "sha256": "0" * 64},
        {"file": f"{hub}/films.csv"},
        {"file": f"{hub}@v1/films.csv"},
    ]
    assert len({read_own(declare(folder, **keys)).files for keys in every}) == len(every)


def test_a_pattern_of_the_hub_reaches_into_folders_as_it_does_there(folder: Path) -> None:
    task = read_own(declare(folder, file="hf://datasets/me/films/*.csv"))
    place = folder / Path(task.files[0]).parent
    for name in ("data/a.csv", "b.csv", ".cache/huggingface/c.csv", "data/d.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(TABLE, "utf-8")
    assert [path.name for path in task.paths(folder).values()] == ["b.csv", "a.csv"]
    assert not task.missing(folder)
    assert len(list(task.sequences(folder, seed=0))) == 3


def test_aliases_that_multiply_are_no_work(folder: Path) -> None:
    nine = "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghijkl"))
    text = f"task: mine\na: &a [x]\n{nine}spectrum: {{file: films.csv, output: stars, group_by: *l, "
    with pytest.raises(UserError, match="spectrum.group_by"):
        read_own(declare(folder, text + "descriptions: [x]}\n"))
    with pytest.raises(UserError, match="spectrum.length"):
        read_own(declare(folder, text.replace("group_by", "length") + "descriptions: [x]}\n"))


def test_a_folder_in_place_of_a_file_is_told(folder: Path) -> None:
    (folder / "many.csv").mkdir()
    (problem,) = problems(declare(folder, file="many.csv"))
    assert problem == f"spectrum.file: {folder / 'many.csv'} is a folder; expected a file"


def test_a_column_in_descriptions_has_one_value_within_each_group(folder: Path) -> None:
    task = read_own(declare(folder, descriptions=["{user} rates {film}."]))
    with pytest.raises(UserError, match=r"name \{film\}, .* in the group 'ann' \('Alien', 'Heat'\)"):
        build(task)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_part_without_a_group_is_told(folder: Path, split: Any) -> None:
    share = 0.999 if split == "train" else 0.001
    task = read_own(declare(folder, test_share=share), split=split)
    with pytest.raises(UserError, match=f"test_share {share}, split {split} has no groups: by name, all 3 "):
        build(task)


def test_cells_of_parquet_that_json_has_not_are_texts(folder: Path) -> None:
    day = datetime.date(2020, 1, 2)
    columns = {
        "user": ["ann"],
        "when": pyarrow.array([datetime.datetime(2020, 1, 2, 3)]),
        "stars": pyarrow.array([decimal.Decimal("1.50")]),
        "days": [[day]],
        "raw": [b"x"],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "typed.parquet")
    given = {"file": "typed.parquet", "input": {"at": "when", "of": "days"}}
    _, asked, said = build(read_own(declare(folder, **given)))["ann"]
    assert asked == ("input", '{"at": "2020-01-02T03:00:00", "of": ["2020-01-02"]}')
    assert said == ("output", "1.50")
    assert build(read_own(declare(folder, file="typed.parquet", output="when")))["ann"][1][1] == (
        "2020-01-02T03:00:00"
    )
    with pytest.raises(UserError, match="column 'raw' holds bytes, expected text or numbers"):
        build(read_own(declare(folder, file="typed.parquet", output="raw")))


def part(file: Path, split: Any) -> dict[str, Any]:
    """The sequences of a part, none where it has no group."""
    try:
        return build(read_own(file, split=split))
    except UserError as error:
        assert f"split {split} has no groups" in str(error)
        return {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    users=st.sets(
        st.text(st.characters(categories=("L", "N")), min_size=1, max_size=6), min_size=1, max_size=20
    ),
    share=st.floats(0.01, 0.99),
)
def test_no_group_is_in_both_parts(tmp_path: Path, users: set[str], share: float) -> None:
    (tmp_path / "films.csv").write_text(
        "user,stars\n" + "".join(f"{u},{n}\n" for n in "12" for u in users), "utf-8"
    )
    file = declare(tmp_path, test_share=share)
    assert has_parts(file)
    train, test = (part(file, split) for split in ("train", "test"))
    assert not train.keys() & test.keys()
    assert {**train, **test} == build(read_own(file))


def test_without_a_share_there_are_no_parts(folder: Path) -> None:
    file = declare(folder)
    assert not has_parts(file)
    assert (
        build(read_own(file, split="train")) == build(read_own(file, split="test")) == build(read_own(file))
    )


def test_rows_are_counted_where_they_are_left_out(folder: Path) -> None:
    dropped: Counter[str] = Counter()
    task = read_own(declare(folder, candidates=["1", "2", "3", "4"]))
    list(task.sequences(Path("nowhere"), seed=0, dropped=dropped))
    assert dropped == {"unknown label '0'": TABLE.count(",0\n")}


def test_a_revision_of_the_hub_may_be_a_reference(folder: Path) -> None:
    task = read_own(declare(folder, file="hf://datasets/me/films@refs/convert/parquet/a/0000.parquet"))
    (files,) = task.source.downloads
    assert (files.revision, files.files) == ("refs/convert/parquet", ("a/0000.parquet",))


def test_a_group_without_a_value_is_blank_in_the_description(folder: Path) -> None:
    (folder / "ratings.jsonl").write_text('{"user": "ann", "film": "Alien", "stars": 5, "town": null}\n' * 2)
    task = read_own(declare(folder, file="ratings.jsonl", descriptions=["Somebody from [{town}]."]))
    (sequence,) = task.sequences(folder, seed=0)
    assert sequence.messages[0]["content"] == "Somebody from []."


def test_tables_on_the_same_people_keep_the_same_ones_for_evaluation(folder: Path) -> None:
    rows = "".join(f"u{n},Alien,{n % 5}\n" for n in range(400))
    (folder / "ratings.csv").write_text("user,film,stars\n" + rows)
    kept = []
    for name in ("ratings", "reviews"):
        file = declare(folder, file="ratings.csv", test_share=0.25)
        file.write_text(file.read_text().replace("task: mine", f"task: {name}"))
        kept.append({each.sequence_id for each in read_own(file, split="test").sequences(folder, seed=0)})
    assert kept[0] == kept[1] and 60 < len(kept[0]) < 140


def test_groups_of_several_columns_have_names_of_their_own(folder: Path) -> None:
    (folder / "ratings.csv").write_text("user,town,film,stars\na/b,c,Alien,1\na,b/c,Heat,2\na%2Fb,c,Up,3\n")
    task = read_own(declare(folder, file="ratings.csv", group_by=["user", "town"]))
    assert len({each.sequence_id for each in task.sequences(folder, seed=0)}) == 3


@pytest.mark.parametrize("column", ["who", "film", "stars"])
@pytest.mark.parametrize("kind", [pyarrow.float16(), pyarrow.float32(), pyarrow.float64()])
@pytest.mark.parametrize("bad", [float("inf"), float("-inf")])
def test_infinity_in_parquet_is_refused_with_its_place(
    tmp_path: Path, column: str, kind: pyarrow.DataType, bad: float
) -> None:
    values = {name: pyarrow.array([1.5, 0.5, 2.5], kind) for name in ("who", "film", "stars")}
    values[column] = pyarrow.array([1.5, 0.5, bad], kind)
    pyarrow.parquet.write_table(pyarrow.table(values), tmp_path / "table.parquet")
    keys = {"group_by": "who", "input": "film", "output": "stars", "descriptions": ["x"]}
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump({"task": "films", "spectrum": {"file": str(tmp_path / "table.parquet"), **keys}})
    )
    with pytest.raises(
        UserError, match=rf"table\.parquet, row 3, column '{column}': infinity is not a value"
    ):
        build(read_own(tmp_path / "own.yaml", split="train"))
