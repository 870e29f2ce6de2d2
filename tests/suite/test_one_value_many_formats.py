"""One value is one value in every format: the same ids, the same split, the same texts."""

import csv
import datetime
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.own.tasks import own_distributional
from spectrum_trl.suite.own.table import read_own
from spectrum_trl.suite.reading.values import canonical, text
from tests.messages import naming

PEOPLE = 60
DAY = datetime.date(2020, 1, 1)


def rows(person: Callable[[int], Any], stars: Callable[[int], Any]) -> list[dict[str, Any]]:
    return [
        {"person": person(n), "film": f"film {m}", "stars": stars((n + m) % 5)}
        for n in range(PEOPLE)
        for m in range(3)
    ]


def write(path: Path, table: list[dict[str, Any]], kind: Any = None) -> Path:
    """Write a table with a last row without a person, as real ones have; the kind is of parquet."""
    table = [*table, {"person": None, "film": "film", "stars": table[0]["stars"]}]
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, list(table[0]), delimiter="," if path.suffix == ".csv" else "\t")
            out.writeheader()
            out.writerows(table)
    elif path.suffix == ".json":
        path.write_text(json.dumps(table, default=str))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, default=str) + "\n" for row in table))
    elif kind == "pandas":
        pd.DataFrame(table).to_parquet(path)
    else:
        columns = {name: pyarrow.array([row[name] for row in table]) for name in table[0]}
        if kind == "dictionary":
            columns = {name: column.dictionary_encode() for name, column in columns.items()}
        elif kind is not None:
            columns |= {name: columns[name].cast(kind) for name in ("person", "stars")}
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def parts(path: Path, **keys: Any) -> dict[str, dict[str, list[str]]]:
    declaration = {
        "file": path.name,
        "group_by": "person",
        "input": "film",
        "output": "stars",
        "descriptions": ["Person {person} rates films."],
        "test_share": 0.4,
        **keys,
    }
    file = path.with_name("mine.yaml")
    file.write_text(yaml.safe_dump({"task": "mine", "spectrum": declaration}))
    return {
        split: {
            each.sequence_id: [turn["content"] for turn in each.messages]
            for each in read_own(file, split=split).sequences(Path("nowhere"), seed=0)
        }
        for split in ("train", "test")
    }


STARS = {str(n): f"{n} stars" for n in range(5)}
WHOLE = {
    "csv": ("t.csv", int, None),
    "csv as pandas writes it": ("t.csv", float, None),
    "tsv": ("t.tsv", int, None),
    "json": ("t.json", int, None),
    "json fractions": ("t.json", float, None),
    "jsonl": ("t.jsonl", int, None),
    "jsonl texts": ("t.jsonl", str, None),
    "int8": ("t.parquet", int, pyarrow.int8()),
    "uint64": ("t.parquet", int, pyarrow.uint64()),
    "float16": ("t.parquet", int, pyarrow.float16()),
    "float32": ("t.parquet", int, pyarrow.float32()),
    "float64": ("t.parquet", int, pyarrow.float64()),
    "string": ("t.parquet", str, pyarrow.string()),
    "large string": ("t.parquet", str, pyarrow.large_string()),
    "dictionary": ("t.parquet", int, "dictionary"),
    "dictionary of texts": ("t.parquet", str, "dictionary"),
    "pandas": ("t.parquet", int, "pandas"),
}


@pytest.mark.parametrize(("name", "cell", "kind"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize(
    "keys", [{}, {"candidates": {str(n): f"{n} stars" for n in range(5)}}, {"output": {"s": "stars"}}]
)
def test_whole_numbers_are_the_same_people_and_texts(
    name: str, cell: Callable[[int], Any], kind: Any, keys: dict[str, Any], tmp_path: Path
) -> None:
    expected = parts(write(tmp_path / "expected.csv", rows(int, int)), **keys)
    # What a text file says of a sample is what is sampled; people and labels are told apart by their values.
    stars = int if cell is float and name == "t.csv" and "candidates" not in keys else cell
    assert parts(write(tmp_path / name, rows(cell, stars), kind), **keys) == expected
    assert all(expected.values()) and "Person 1 rates films." in [
        turns[0] for part in expected.values() for turns in part.values()
    ]


DAYS = {
    "csv": ("t.csv", lambda n: DAY + datetime.timedelta(n), None),
    "csv with times": ("t.csv", lambda n: f"{DAY + datetime.timedelta(n)} 00:00:00", None),
    "jsonl": ("t.jsonl", lambda n: DAY + datetime.timedelta(n), None),
    "json iso": ("t.json", lambda n: f"{DAY + datetime.timedelta(n)}T00:00:00.000", None),
    "date32": ("t.parquet", lambda n: DAY + datetime.timedelta(n), None),
    "timestamp": (
        "t.parquet",
        lambda n: datetime.datetime.combine(DAY, datetime.time()) + datetime.timedelta(n),
        None,
    ),
    "pandas": ("t.parquet", lambda n: pd.Timestamp(DAY) + pd.Timedelta(days=n), "pandas"),
}


@pytest.mark.parametrize(("name", "cell", "kind"), DAYS.values(), ids=DAYS)
def test_days_are_the_same_groups(name: str, cell: Callable[[int], Any], kind: Any, tmp_path: Path) -> None:
    expected = parts(write(tmp_path / "expected.csv", rows(lambda n: DAY + datetime.timedelta(n), int)))
    assert parts(write(tmp_path / name, rows(cell, int), kind)) == expected and all(expected.values())


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.json", "t.jsonl", "t.parquet"])
def test_truth_values_are_the_same_labels(name: str, tmp_path: Path) -> None:
    keys = {"candidates": {"true": "yes", "False": "no"}}
    labels = parts(write(tmp_path / name, rows(str, lambda n: n > 1)), **keys)
    written = parts(
        write(tmp_path / "expected.csv", rows(str, lambda n: "TRUE" if n > 1 else "false")), **keys
    )
    assert labels == written and all(written.values())


def test_names_that_only_look_alike_stay_apart() -> None:
    names = ["1", "01", "1.5", "1e0", "+1", "1.", "v1.0", "True story", "2020-01-01T10:00:00", ""]
    assert [canonical(name) for name in names] == names
    assert [text(value) for value in (1.0, 0.5, -0.0, 1e300, True, float("nan"))] == [
        *("1", "0.5", "0", "1e+300", "true", "")
    ]
    assert canonical("2020-01-01 10:00:00.500000") == canonical("2020-01-01T10:00:00.5")


@pytest.mark.parametrize("name", ["q.csv", "q.tsv", "q.json", "q.jsonl", "q.parquet"])
def test_candidates_shares_and_clusters_are_the_same(name: str, tmp_path: Path) -> None:
    expected = [(("1", "2", "3"), [0.25, 0.5, 0.25], str(n), str(n // 2)) for n in range(4)]
    table = [
        {"question": f"q {n}", "candidates": [1, 2.0, 3], "shares": [1, 2, 1], "group": n, "asked": n // 2}
        for n in range(4)
    ]
    path = tmp_path / name
    if path.suffix == ".parquet":
        kinds = {
            "candidates": pyarrow.list_(pyarrow.float32()),
            "shares": pyarrow.list_(pyarrow.decimal128(9, 2)),
        }
        kinds |= {"group": pyarrow.float64(), "asked": pyarrow.float32()}
        fields = [(key, kinds.get(key, pyarrow.string())) for key in table[0]]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table, pyarrow.schema(fields)), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(table))
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, table)))
    else:
        cells = [
            {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()}
            for row in table
        ]
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, list(cells[0]), delimiter="," if path.suffix == ".csv" else "\t")
            out.writeheader()
            out.writerows([row | {"asked": f"{row['asked']}.0"} for row in cells])
    own = {"file": name, "input": "{question}", "group": "group", "cluster": "asked"}
    task = own_distributional(own, file=str(tmp_path / "mine.yaml"))
    items = list(task.build(Path("nowhere"), seed=0, dropped=Counter()))
    assert [(one.candidates, list(one.target), one.group, one.cluster) for one in items] == expected


SEPARATED = {"semicolons": ";", "tabs": "\t", "bars": "|"}


@pytest.mark.parametrize("delimiter", SEPARATED.values(), ids=SEPARATED)
def test_another_delimiter_is_named_and_then_read(delimiter: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(int, int))
    expected = parts(path)
    path.write_text(path.read_text().replace(",", delimiter))
    with pytest.raises(UserError, match=naming("t.csv", "`delimiter:")) as raised:
        parts(path)
    assert "fetch" not in str(raised.value).lower()
    assert parts(path, delimiter=delimiter) == expected


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "shift_jis", "utf-8-sig"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.json", "t.jsonl"])
def test_another_encoding_is_read(name: str, encoding: str, tmp_path: Path) -> None:
    word = "é" if encoding != "shift_jis" else "花"
    table = [row | {"film": f"{word} {row['film']}"} for row in rows(int, int)]
    path = write(tmp_path / name, table)
    if path.suffix not in (".csv", ".tsv"):
        path.write_text(path.read_text().encode().decode("unicode_escape"), "utf-8")
    expected = parts(path)
    path.write_text(path.read_text("utf-8"), encoding)
    assert parts(path, encoding=encoding) == expected and any(
        word in turn for turns in expected["test"].values() for turn in turns
    )


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.json", "t.jsonl"])
def test_a_wrong_encoding_is_a_message_that_names_the_key(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path, [row | {"film": "?e"} for row in rows(int, int)])
    path.write_bytes(path.read_bytes().replace(b"?", b"\xe9"))
    with pytest.raises(UserError, match="encoding: cp1252") as raised:
        parts(path)
    assert "fetch" not in str(raised.value).lower()


BROKEN = {
    "empty": ("t.csv", b""),
    "a header": ("t.csv", b"person,film,stars\n"),
    "another column": ("t.csv", b"people,film,stars\n1,a,2\n"),
    "no json": ("t.json", b"{"),
    "deep": ("t.json", b"[" * 5000),
    "no objects": ("t.json", b"[]"),
    "a number": ("t.jsonl", b"3\n"),
    "a repeated key": ("t.jsonl", b'{"person": 1, "person": 2, "film": "a", "stars": 1}\n'),
    "no parquet": ("t.parquet", b"PAR1"),
    "no gzip": ("t.csv.gz", b"person,film,stars\n"),
}


@pytest.mark.parametrize(("name", "content"), BROKEN.values(), ids=BROKEN)
def test_a_file_of_one_s_own_is_to_be_corrected(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        parts(tmp_path / name)
    assert name in str(raised.value) and "fetch" not in str(raised.value).lower()


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"delimiter": ";;"}, "delimiter: expected one ASCII character"),
        ({"delimiter": "§"}, "delimiter: expected one ASCII character"),
        ({"delimiter": '"'}, "delimiter: expected one ASCII character"),
        ({"encoding": "latin-99"}, "encoding: Python has no text encoding 'latin-99'"),
        ({"encoding": "base64"}, "encoding: Python has no text encoding 'base64'"),
        ({"candidates": ["1", "1.0"]}, "candidates: '1' is listed more than once"),
    ],
)
def test_keys_that_cannot_be_are_refused(keys: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=why):
        parts(write(tmp_path / "t.csv", rows(int, int)), **keys)


@pytest.mark.parametrize(
    "spellings",
    [
        ("0.5", "0.50", "0.500"),
        ("1", "1.0", "1.00"),
        ("true", "True", "TRUE"),
        ("2024-01-02 00:00:00+00:00", "2024-01-02T00:00:00.000Z", "2024-01-02T01:00:00+01:00"),
        ("Jos\u00e9", "Jose\u0301"),
    ],
)
def test_one_name_is_one_name_however_it_is_written(spellings: tuple[str, ...]) -> None:
    assert len({canonical(name) for name in spellings}) == 1


def test_fractions_name_the_same_groups_in_csv_and_parquet(tmp_path: Path) -> None:
    table = rows(lambda n: f"{n / 4:.2f}", lambda n: n + 1)
    found = parts(write(tmp_path / "a.csv", table))
    numbers = [row | {"person": float(row["person"])} for row in table]
    assert found == parts(write(tmp_path / "a.parquet", numbers, "pandas"))


@pytest.mark.parametrize(
    ("names", "told"),
    [(("1.1", "1.10"), "both '1.1' and '1.10'"), ((float(2**60), float(2**61)), "too large")],
)
def test_groups_that_would_be_taken_for_one_another_are_a_message(
    names: tuple[Any, Any], told: str, tmp_path: Path
) -> None:
    table = rows(lambda n: names[n % 2], lambda n: n + 1)
    file = write(tmp_path / ("a.csv" if isinstance(names[0], str) else "a.parquet"), table)
    with pytest.raises(UserError, match=told):
        parts(file)
