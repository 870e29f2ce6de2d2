import json

import pandas as pd
import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.reading.parquet import parquet_rows
from spectrum_trl.suite.reading.tables import (
    csv_rows,
    json_file,
    json_rows,
    whole_numbers,
)
from tests.messages import named, naming


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_cells_stay_text_and_columns_keep_the_order_asked_for(write):
    path = write("id,word,n\n007,NA,1e3\n2,,null\n")
    assert list(csv_rows(path, ("n", "id", "word"))) == [
        {"n": "1e3", "id": "007", "word": "NA"},
        {"n": "null", "id": "2", "word": ""},
    ]


def test_byte_order_mark_crlf_padded_names_and_quoted_line_breaks(write):
    path = write(b'\xef\xbb\xbfid, said\r\n1,"a\r\nb, ""c"""\r\n2,\xe4\xb8\xad\r\n')
    assert list(csv_rows(path, ("id", "said"))) == [
        {"id": "1", "said": 'a\r\nb, "c"'},
        {"id": "2", "said": "中"},
    ]


def test_a_short_row_has_empty_cells(write):
    assert list(csv_rows(write("a,b\n1\n"), ("a", "b"))) == [{"a": "1", "b": ""}]


def test_another_encoding_is_an_error(write):
    with pytest.raises(UserError, match=naming("table.csv", "CSV", "utf-8")):
        list(csv_rows(write("a\ncafé\n".encode("latin-1")), ("a",)))


def test_without_a_header_the_first_row_is_data(write):
    path = write("Mary,F,7065\nAnna,F, +2604\n")
    rows = csv_rows(path, ("name", "sex", "count"), header=False)
    assert whole_numbers(rows, ("count",), path=path) == [
        {"name": "Mary", "sex": "F", "count": 7065},
        {"name": "Anna", "sex": "F", "count": 2604},
    ]


def test_without_a_header_the_number_of_columns_must_fit(write):
    with pytest.raises(UserError, match=naming("table.csv", "line 1", 2, 3, "name, sex, count")):
        list(csv_rows(write("Mary,F\n"), ("name", "sex", "count"), header=False))


def test_all_lacking_columns_are_named_with_the_nearest(write):
    with pytest.raises(UserError) as caught:
        list(csv_rows(write("voter_id,vote\n1,1\n"), ("voter-id", "vote", "time")))
    first, second = caught.value.problems
    assert named(first, "table.csv", "'voter-id'", "'voter_id'", "voter_id, vote")
    assert "'time'" in second


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ["empty"]),
        ("a,b\n", ["header", "no rows"]),
        ('a,b\n1,"open\n2,3\n', ["line 2", "quotation mark"]),
        ("a,b\n1,2\n3,4,5\n", ["line 3", 3, 2, "a, b", "fetch"]),
        ("a,b\n1,2,3\n4,5,6\n", ["line 2", 3]),
    ],
)
def test_a_broken_table_is_one_clear_error(write, content, message):
    with pytest.raises(UserError, match=naming("table.csv", *message)):
        list(csv_rows(write(content), ("a", "b")))


def test_wrong_numbers_are_named_by_row_and_column(write):
    path = write("n,m\n1,x\ny,2\n-3,3\n+4,1.5\n" + "5,\n" * 3)
    with pytest.raises(UserError) as caught:
        whole_numbers(csv_rows(path, ("n", "m")), ("n", "m"), path=path)
    first, second, *_, more = caught.value.problems
    assert named(first, path, "row 2", "'n'", "whole number", "'y'")
    assert named(second, path, "row 1", "'m'", "whole number", "'x'") and named(more, 3)


def test_a_missing_file_says_so(tmp_path):
    for read in (lambda path: list(csv_rows(path, ("a",))), json_file):
        with pytest.raises(MissingData, match=naming("nowhere", "exist")):
            read(tmp_path / "nowhere")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match=naming(tmp_path, "a folder")):
        json_file(tmp_path)


def test_names_of_columns_are_shown_and_not_obeyed(write):
    names = ["\x1b]0;pwn\x07", "x" * 10_000, *(f"c{n}" for n in range(20_000))]
    path = write(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    with pytest.raises(UserError) as caught:
        list(csv_rows(path, ("a",)))
    said = str(caught.value)
    assert "\x1b" not in said and "␛]0;pwn␇" in said and len(said) < 1000 and "and 19982 more" in said


def test_relaxed_json_accepts_a_comma_too_many(write):
    path = write(
        '{\n\t"Ann1":{\n\t\t"Age":"22",\n\t},\n\t"Ann2": {"Age": null, "s": "a: b, c"}\n}', "meta.json"
    )
    assert json_file(path, relaxed=True) == {"Ann1": {"Age": "22"}, "Ann2": {"Age": None, "s": "a: b, c"}}
    with pytest.raises(UserError, match=naming("meta.json", "JSON", "line 4")):
        json_file(path)


def test_corrupt_json_is_one_clear_error(write):
    path = write('{"a": [1, 2', "cut.json")
    for relaxed in (False, True):
        with pytest.raises(UserError, match=naming("cut.json", "JSON", "line 1")):
            json_file(path, relaxed=relaxed)


def test_a_byte_order_mark_before_json_is_ignored(write):
    path = write(b'\xef\xbb\xbf{"a": "\xe4\xb8\xad\xe2\x80\xa8"}\r\n', "rows.jsonl")
    assert json_file(path) == {"a": "中\u2028"}


def test_json_arrays_and_objects_of_objects_are_rows(write):
    rows = [{"a": 1, "b": 2}, {"a": None}]
    assert json_rows(write(json.dumps(rows)), ("a",)) == [{"a": 1}, {"a": None}]
    assert json_rows(write(json.dumps({"x": rows[0], "y": rows[1]})), ("a",)) == [{"a": 1}, {"a": None}]
    with pytest.raises(UserError, match=naming("item y", "column", "'b'")):
        json_rows(write(json.dumps({"x": rows[0], "y": rows[1]})), ("b",))
    for nothing in ("[]", "3", "{}"):
        with pytest.raises(UserError, match=naming("no JSON objects")):
            json_rows(write(nothing), ("a",))


def test_parquet_columns_are_read_as_they_are(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"b.c": [["x"], None], "d": [1, 2], "a": ["NA", None]}).to_parquet(path)
    assert list(parquet_rows(path, ("a", "b.c"))) == [{"a": "NA", "b.c": ["x"]}, {"a": None, "b.c": None}]
    with pytest.raises(UserError, match=naming("a.parquet", "'b_c'", "'b.c'", "b.c, d, a")):
        list(parquet_rows(path, ("b_c",)))


def test_what_is_no_parquet_file_is_one_clear_error(tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(MissingData, match=naming("a.parquet", "exist")):
        list(parquet_rows(path, ("a",)))
    for content in (b"", b"<html>", b"PAR1 cut"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=naming("a.parquet", "not valid", "fetch")):
            list(parquet_rows(path, ("a",)))
