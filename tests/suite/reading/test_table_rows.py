"""Tables of any kind are read as they are; what is broken is counted with its place, or told in one error."""

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.reading.files import Reading, opened
from spectrum_trl.suite.reading.tables import jsonl_rows, table_rows
from tests.messages import named, naming

PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
ROWS = [{"user": "ann", "film": "Léon"}, {"user": "bob", "film": "Heat"}]
CONTENTS = {
    "csv": "user,film\nann,Léon\nbob,Heat\n",
    "tsv": "user\tfilm\nann\tLéon\nbob\tHeat\n",
    "json": json.dumps(ROWS),
    "jsonl": "\n".join(map(json.dumps, ROWS)),
    "ndjson": "\n".join(map(json.dumps, ROWS)),
}


def read(path: Path, *columns: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    dropped: Counter[str] = Counter()
    return list(table_rows(path, columns, dropped=dropped)), dict(dropped)


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("pack", ["", *PACK])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_is_told_by_its_ending_packed_or_not(tmp_path: Path, kind: str, pack: str) -> None:
    content = PACK.get(pack, bytes)(CONTENTS[kind].encode())
    path = written(tmp_path, f"a.b.{kind}{pack}", content)
    assert read(path, "user", "film") == (ROWS, {})
    # Other columns are left out, and the order is as asked.
    assert [list(row) for row in read(path, "film", "user")[0]] == [["film", "user"]] * 2
    assert read(path, "film")[0] == [{"film": "Léon"}, {"film": "Heat"}]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pyarrow.table({"a": [1, None], "b": [["x"], []], "c": ["NA", "007"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.PARQUET")
    assert read(tmp_path / "a.PARQUET", "a", "b", "c")[0] == table.to_pylist()


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    for name in ("a.xlsx", "a", "a.parquet.gz", "a.gz"):
        with pytest.raises(UserError, match=r"expected a \.csv"):
            read(written(tmp_path, name, "user\nann\n"), "user")


def test_cells_stay_the_text_that_is_in_the_file(tmp_path: Path) -> None:
    cells = [
        "NA",
        "007",
        "",
        "null",
        "1.50",
        "true",
        "2024-01-01",
        " x ",
        "1e5",
        "∅",
        "a\u2028b",
        "back\\slash",
    ]
    path = written(tmp_path, "a.csv", "n,cell\n" + "".join(f'{n},"{cell}"\n' for n, cell in enumerate(cells)))
    assert [row["cell"] for row in read(path, "cell")[0]] == cells


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_byte_order_marks_and_quoted_line_breaks_are_read_as_meant(
    tmp_path: Path, end: str, mark: bytes
) -> None:
    content = end.join(["a , b", '"x\ny","say ""hi"", you"', "1,2"])
    path = written(tmp_path, "a.csv", mark + content.encode())
    assert read(path, "a", "b")[0] == [{"a": "x\ny", "b": 'say "hi", you'}, {"a": "1", "b": "2"}]


@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)] * 2),
        min_size=1,
    )
)
def test_what_pythons_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    path = written(tmp_path_factory.mktemp("csv"), "a.csv", file.getvalue())
    assert [(row["a"], row["b"]) for row in read(path, "a", "b")[0]] == rows


def test_ragged_rows_are_counted_with_their_numbers(tmp_path: Path) -> None:
    lines = [f"{n},x" if n % 7 else f"{n},x,too many" if n % 2 else f"{n}" for n in range(1, 31)]
    found, dropped = read(written(tmp_path, "a.csv", "\n".join(["a,b", *lines])), "a")
    assert [row["a"] for row in found] == [str(n) for n in range(1, 31) if n % 7]
    ((reason, n),) = dropped.items()
    assert n == 4 and "(a.csv: 8, 15, 22, …)" in reason


def test_broken_rows_are_told_by_the_lines_of_the_file_and_all_lines_of_them_counted(tmp_path: Path) -> None:
    text = 'a,b\n\n\n1,"x\ny\nz"\nbroken\n2,y\nbroken,"so\nso",3\n4,5\n'
    reason = "row with another number of fields than the header"
    for pack in ("", ".gz"):
        path = written(tmp_path, f"a.csv{pack}", PACK.get(pack, bytes)(text.encode()))
        found, dropped = read(path, "a")
        assert [row["a"] for row in found] == ["1", "2", "4"]
        assert dropped == {f"{reason} ({path.name}: 7, 9)": 3}
    path = written(tmp_path, "b.csv", 'a,b\r"x\ry",1\rbroken\r1,2\r')
    assert read(path, "a")[1] == {f"{reason} (b.csv: 4)": 1}


@pytest.mark.parametrize("kind,mark", [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("cell", ['"Alien', '"Alien""', '"', '""Alien"""', '"a" b"c'])
def test_a_quote_that_nothing_closes_is_an_error_that_names_its_line(
    tmp_path: Path, kind: str, mark: str, cell: str
) -> None:
    lines = ["a,b", '"x\n1",5" pipe', *["y,2"] * 9, f"{cell},3", *["z,4"] * 475]
    path = written(tmp_path, f"a.{kind}", "\n".join(lines).replace(",", mark) + "\n")
    if cell in ('""Alien"""', '"a" b"c'):
        assert len(read(path, "a")[0]) == 486
        return
    with pytest.raises(UserError, match=r"a\.[ct]sv, line 13.*quotation mark"):
        read(path, "a")


def test_a_cell_that_goes_on_and_on_is_an_open_one(tmp_path: Path) -> None:
    limit = csv.field_size_limit(1000)
    try:
        with pytest.raises(UserError, match=naming("a.csv", "line 3", "quotation mark")):
            read(written(tmp_path, "a.csv", 'a,b\n1,2\n"x,3\n' + "4,5\n" * 1000), "a")
    finally:
        csv.field_size_limit(limit)
    with pytest.raises(UserError, match=naming("b.csv", "line 3", "quotation mark")):
        read(written(tmp_path, "b.csv", 'a,b\n1,2\n"'), "a")


@given(text=st.text(st.sampled_from('a,"\n\r'), max_size=40))
def test_rows_and_open_cells_are_what_another_reader_finds(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    def theirs(content: str) -> list[dict[str, Any]]:
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip")
        options = pyarrow.csv.ReadOptions(use_threads=False)
        convert = pyarrow.csv.ConvertOptions(default_column_type=pyarrow.string(), strings_can_be_null=False)
        return pyarrow.csv.read_csv(io.BytesIO(content.encode()), options, parse, convert).to_pylist()

    content = f"a,b\n1,2\n{text}"
    path = written(tmp_path_factory.mktemp("csv"), "a.csv", content)
    if len(theirs(f"{content}\n1,2\n")) == len(theirs(f"{content}\n")):
        with pytest.raises(UserError, match=naming("a.csv", "quotation mark")):
            read(path, "a", "b")
    else:
        assert read(path, "a", "b")[0] == theirs(content)


def test_broken_json_lines_are_counted_with_their_numbers(tmp_path: Path) -> None:
    lines = [
        '\ufeff{"a": 1}',
        "",
        "{bad",
        '{"a": null}\r',
        "[1]",
        '{"a": "x\u2028y", "b": 2}',
        "3",
        "[" * 9999,
    ]
    # As raw bytes: no UTF-8 on the last line.
    path = written(tmp_path, "a.jsonl", "\n".join(lines).encode() + b'\n{"a": "\xff"}')
    found, dropped = read(path, "a")
    assert found == [{"a": 1}, {"a": None}, {"a": "x\u2028y"}]
    ((reason, n),) = dropped.items()
    assert n == 5 and "(a.jsonl: 3, 5, 7, …)" in reason


def test_broken_rows_are_told_also_if_reading_stops_early(tmp_path: Path) -> None:
    path, dropped = written(tmp_path, "a.jsonl", 'x\n{"a": 1}\n{"a": 2}\n'), Counter[str]()
    rows = jsonl_rows(path, ("a",), dropped=dropped)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert dropped.total() == 1


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
def test_a_missing_column_is_told_with_the_nearest_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"user": ["a"], "film": ["b"]}), path)
    else:
        path.write_text(CONTENTS[kind], "utf-8")
    with pytest.raises(UserError) as error:
        read(path, "usr", "film", "flim")
    said = str(error.value)
    assert named(said, path, "'usr'", "'user'") and named(said, path, "'flim'", "'film'")


def test_repeated_columns_are_told_only_where_they_are_read(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table([[1], [2], [3]], names=["a", "a", "b"]), tmp_path / "a.parquet")
    written(tmp_path, "a.csv", "a, a,b\n1,2,3\n")
    for kind, value in (("csv", "3"), ("parquet", 3)):
        assert read(tmp_path / f"a.{kind}", "b")[0] == [{"b": value}]
        with pytest.raises(UserError, match=naming(f"a.{kind}", 2, "'a'")):
            read(tmp_path / f"a.{kind}", "a")


def test_a_row_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    long = "x" * 10_000_000
    for kind, content in (("csv", f"a,b\n{long},2\n"), ("jsonl", json.dumps({"a": long}))):
        assert read(written(tmp_path, f"a.{kind}", content), "a")[0] == [{"a": long}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "is empty: fetch it again"),
        ("empty.json", b"", "is not valid JSON"),
        ("empty.jsonl", b"\n\n", "holds no usable row .it is empty"),
        ("empty.parquet", b"", "is not valid parquet"),
        ("header.csv", b"a,b\n", "holds no usable row .it is empty"),
        ("ragged.csv", b"a,b\n1\n", r"no usable row .row with another number of fields .*ragged.csv: 2"),
        ("quote.csv", b'a,b\n"x,2\n3,4\n', "line 2: a quotation mark opens a cell"),
        ("list.json", b"[]", "holds no JSON objects"),
        ("text.json", b'"a"', "holds no JSON objects"),
        ("deep.json", b"[" * 200_000, "is not valid JSON"),
        ("digits.json", b'[{"a": ' + b"1" * 5000 + b"}]", "is not valid JSON"),
        ("latin.csv", "a\né\n".encode("latin1"), "is not valid CSV .*utf-8"),
        ("utf16.csv", "a,b\né,2\n".encode("utf-16"), "is not valid CSV"),
        ("utf16.json", '[{"a": 1}]'.encode("utf-16"), "is not valid UTF-8"),
        ("utf16.jsonl", '{"a": 1}'.encode("utf-16"), "no usable row .line that is no JSON object"),
        ("page.parquet", b"<html>", "is not valid parquet"),
        *((f"no.csv{pack}", b"a\n1\n", "is not valid CSV") for pack in PACK),
        *((f"no.json{pack}", b"[]", "is not valid UTF-8") for pack in PACK),
        *((f"no.jsonl{pack}", b"{}", "is not valid JSON Lines") for pack in PACK),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error_with_its_name(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}.*{said}"):
        read(path, "a")


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_a_truncated_or_damaged_packed_file_is_an_error(tmp_path: Path, kind: str, pack: str) -> None:
    row = {"csv": "1,2\n", "json": '{"a": 1},\n', "jsonl": '{"a": 1}\n'}[kind]
    text = (
        {"csv": "a,b\n", "json": "[", "jsonl": ""}[kind]
        + row * 50_000
        + ('{"a": 1}]' if kind == "json" else "")
    )
    whole = PACK[pack](text.encode())
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 20] = b"\xff" * 20
    with pytest.raises(UserError, match=naming("not valid", "fetch")):
        read(written(tmp_path, f"a.{kind}{pack}", whole[: len(whole) // 2]), "a")
    # What comes of the damage may break the table before the packer notices.
    with pytest.raises(UserError, match=r"a\.\w+.*[Ff]etch"):
        read(written(tmp_path, f"a.{kind}{pack}", bytes(damaged)), "a")


def test_a_truncated_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": list(range(1000))}), path)
    whole = path.read_bytes()
    for content in (whole[:-20], whole[:10] + b"\xff" * 200 + whole[210:]):
        with pytest.raises(UserError, match=naming("b.parquet", "not valid")):
            read(written(tmp_path, "b.parquet", content), "a")


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet", "csv.gz"])
def test_a_folder_and_a_missing_file_are_told(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MissingData, match=naming(f"none.{kind}", "exist")):
        read(tmp_path / f"none.{kind}", "a")
    (tmp_path / f"folder.{kind}").mkdir()
    with pytest.raises(UserError, match=naming(f"folder.{kind}", "a folder")) as error:
        read(tmp_path / f"folder.{kind}", "a")
    assert not isinstance(error.value, MissingData)


def test_another_encoding_is_read_where_it_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "a,b\né,ß\n".encode("latin1"))
    rows = table_rows(path, ("a", "b"), dropped=Counter(), reading=Reading(encoding="latin1"))
    assert list(rows) == [{"a": "é", "b": "ß"}]
    with pytest.raises(UserError, match=naming("a.csv", "CSV", "byte 0xe9")):
        list(table_rows(path, ("a", "b"), dropped=Counter(), reading=Reading(encoding="ascii")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_broken_rows_are_told_by_their_lines_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    text = 'a,b\n1,2\n3\n"4\n5",6\n7,8,9\n'
    path, dropped = written(tmp_path, "a.csv", text.encode(encoding)), Counter[str]()
    list(table_rows(path, ("a", "b"), dropped=dropped, reading=Reading(encoding=encoding)))
    (reason,) = dropped
    assert "(a.csv: 3, 6)" in reason


@pytest.mark.parametrize(
    ("content", "encoding", "told"),
    [
        ("a,b\né,ß\n".encode(), "ascii", "it is UTF-8: leave `encoding` out"),
        ("a,b\né,ß\n".encode("latin1"), "utf-8", "encoding: cp1252"),
        ("a,b\n1,2\n".encode("utf-32"), "utf-8", "encoding: utf-32"),
        ("a,b\n1,2\n".encode("utf-16"), "utf-8", "encoding: utf-16"),
    ],
)
def test_the_message_names_the_encoding_that_a_file_has(
    content: bytes, encoding: str, told: str, tmp_path: Path
) -> None:
    reading = Reading(encoding=encoding, way_out="correct it", own=True)
    with pytest.raises(UserError, match=told):
        list(table_rows(written(tmp_path, "a.csv", content), ("a", "b"), dropped=Counter(), reading=reading))


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.bz2", "a.csv.xz"])
@pytest.mark.parametrize(("encoding", "told"), [("latin1", "cp1252"), ("utf-16", "utf-16")])
def test_a_damaged_file_in_another_encoding_is_one_message(
    name: str, encoding: str, told: str, tmp_path: Path
) -> None:
    rng = random.Random(0)
    text = "a,b\n" + "".join(f"é{rng.random()},ß{rng.random()}\n" for _ in range(30_000))
    path = tmp_path / name
    with opened(path, "wb") as file:
        file.write(text.encode(encoding))
    path.write_bytes(path.read_bytes()[:-500])
    reading = Reading(way_out="correct it", own=True)
    with pytest.raises(UserError, match=naming(name, "CSV", f"encoding: {told}")):
        list(table_rows(path, ("a", "b"), dropped=Counter(), reading=reading))
