import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.reading.tables import (
    csv_rows,
    csv_table,
    json_file,
    json_rows,
    jsonl_rows,
    parquet_rows,
)


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_cells_stay_text_and_columns_keep_the_order_asked_for(write):
    path = write("id,word,n\n007,NA,1e3\n2,,null\n")
    assert csv_rows(path, ("n", "id", "word")) == [
        {"n": "1e3", "id": "007", "word": "NA"},
        {"n": "null", "id": "2", "word": ""},
    ]


def test_byte_order_mark_crlf_padded_names_and_quoted_line_breaks(write):
    path = write(b'\xef\xbb\xbfid, said\r\n1,"a\r\nb, ""c"""\r\n2,\xe4\xb8\xad\r\n')
    assert csv_rows(path, ("id", "said")) == [{"id": "1", "said": 'a\r\nb, "c"'}, {"id": "2", "said": "中"}]


def test_a_short_row_has_empty_cells(write):
    assert csv_rows(write("a,b\n1\n"), ("a", "b")) == [{"a": "1", "b": ""}]


def test_another_encoding_is_read_when_named(write):
    path = write("a\ncafé\n".encode("latin-1"))
    assert csv_rows(path, ("a",), encoding="latin-1") == [{"a": "café"}]
    with pytest.raises(UserError, match="table.csv is not valid CSV .*utf-8"):
        csv_rows(path, ("a",))


def test_without_a_header_the_first_row_is_data(write):
    table = csv_table(
        write("Mary,F,7065\nAnna,F,2604\n"), ("name", "sex", "count"), header=False, whole=("count",)
    )
    assert table["name"].tolist() == ["Mary", "Anna"]
    assert table["count"].tolist() == [7065, 2604]


def test_without_a_header_the_number_of_columns_must_fit(write):
    with pytest.raises(UserError, match=r"has 2 columns, expected 3 \(name, sex, count\)"):
        csv_rows(write("Mary,F\n"), ("name", "sex", "count"), header=False)


def test_all_lacking_columns_are_named_with_the_nearest(write):
    with pytest.raises(UserError) as caught:
        csv_rows(write("voter_id,vote\n1,1\n"), ("voter-id", "vote", "time"))
    first, second = caught.value.problems
    assert "table.csv has no column 'voter-id'. Did you mean 'voter_id'? It has: voter_id, vote" in first
    assert "'time'" in second


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "a header but no rows"),
        ('a,b\n1,"open\n2,3\n', "EOF inside string"),
        ("a,b\n1,2\n3,4,5\n", "line 3"),
        ("a,b\n1,2,3\n4,5,6\n", "more fields than the header"),
    ],
)
def test_a_broken_table_is_one_clear_error(write, content, message):
    with pytest.raises(UserError, match=message) as caught:
        csv_rows(write(content), ("a", "b"))
    assert "table.csv" in str(caught.value)


def test_wrong_numbers_are_named_by_row_and_column(write):
    path = write("n,m\n1,x\ny,2\n-3,3\n+4,1.5\n" + "5,\n" * 3)
    with pytest.raises(UserError) as caught:
        csv_table(path, ("n", "m"), whole=("n", "m"))
    assert "row 2, column 'n': expected a whole number, found 'y'" in caught.value.problems[0]
    assert "row 1, column 'm': expected a whole number, found 'x'" in caught.value.problems[1]
    assert caught.value.problems[-1] == "… and 3 more of this kind"


def test_a_missing_file_says_so(tmp_path):
    for read in (lambda path: csv_rows(path, ("a",)), json_file, lambda path: jsonl_rows(path, ("a",))):
        with pytest.raises(MissingData, match="nowhere does not exist"):
            read(tmp_path / "nowhere")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match="is a folder; a file is expected there"):
        json_file(tmp_path)


def test_names_of_columns_are_shown_and_not_obeyed(write):
    names = ["\x1b]0;pwn\x07", "x" * 10_000, *(f"c{n}" for n in range(20_000))]
    path = write(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    with pytest.raises(UserError) as caught:
        csv_rows(path, ("a",))
    said = str(caught.value)
    assert "\x1b" not in said and "␛]0;pwn␇" in said and len(said) < 1000 and "and 19982 more" in said


def test_relaxed_json_accepts_a_comma_too_many(write):
    path = write(
        '{\n\t"Ann1":{\n\t\t"Age":"22",\n\t},\n\t"Ann2": {"Age": null, "s": "a: b, c"}\n}', "meta.json"
    )
    assert json_file(path, relaxed=True) == {"Ann1": {"Age": "22"}, "Ann2": {"Age": None, "s": "a: b, c"}}
    with pytest.raises(UserError, match=r"meta.json is not valid JSON \(.*line 4"):
        json_file(path)


def test_corrupt_json_is_one_clear_error(write):
    path = write('{"a": [1, 2', "cut.json")
    for relaxed in (False, True):
        with pytest.raises(UserError, match="cut.json is not valid JSON .*line 1"):
            json_file(path, relaxed=relaxed)


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.none() | st.integers() | st.text()), min_size=1))
def test_json_lines_come_back_or_are_named(tmp_path_factory, items):
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    path.write_text(
        "\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n\n", encoding="utf-8"
    )
    lacking = [number for number, item in enumerate(items, 1) if "a" not in item]
    if lacking:
        with pytest.raises(UserError, match=f"line {lacking[0]} has no column 'a'"):
            jsonl_rows(path, ("a",))
    else:
        assert jsonl_rows(path, ("a",)) == [{"a": item["a"]} for item in items]


def test_json_lines_that_are_no_objects_are_all_named(write):
    path = write('{"a": 1}\n[2]\n{"a": \n3\n{"b": 4}\n', "rows.jsonl")
    with pytest.raises(UserError) as caught:
        jsonl_rows(path, ("a",))
    problems = caught.value.problems
    assert [problem.split(", ")[1].split(":")[0] for problem in problems[:3]] == [
        "line 2",
        "line 3",
        "line 4",
    ]
    assert problems[3] == "… and 1 more of this kind"


def test_a_byte_order_mark_before_json_is_ignored(write):
    path = write(b'\xef\xbb\xbf{"a": "\xe4\xb8\xad\xe2\x80\xa8"}\r\n', "rows.jsonl")
    assert json_file(path) == {"a": "中\u2028"}
    assert jsonl_rows(path, ("a",)) == [{"a": "中\u2028"}]


def test_json_arrays_and_objects_of_objects_are_rows(write):
    rows = [{"a": 1, "b": 2}, {"a": None}]
    assert json_rows(write(json.dumps(rows)), ("a",)) == [{"a": 1}, {"a": None}]
    assert json_rows(write(json.dumps({"x": rows[0], "y": rows[1]})), ("a",)) == [{"a": 1}, {"a": None}]
    with pytest.raises(UserError, match="item y has no column 'b'"):
        json_rows(write(json.dumps({"x": rows[0], "y": rows[1]})), ("b",))
    for nothing in ("[]", "3", "{}"):
        with pytest.raises(UserError, match="holds no JSON objects"):
            json_rows(write(nothing), ("a",))


def test_parquet_columns_are_read_as_they_are(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"b.c": [["x"], None], "d": [1, 2], "a": ["NA", None]}).to_parquet(path)
    assert list(parquet_rows(path, ("a", "b.c"))) == [{"a": "NA", "b.c": ["x"]}, {"a": None, "b.c": None}]
    with pytest.raises(
        UserError, match=r"a.parquet has no column 'b_c'. Did you mean 'b.c'\? It has: b.c, d, a"
    ):
        list(parquet_rows(path, ("b_c",)))


def test_what_is_no_parquet_file_is_one_clear_error(tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(MissingData, match="a.parquet does not exist"):
        list(parquet_rows(path, ("a",)))
    for content in (b"", b"<html>", b"PAR1 cut"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="a.parquet is not valid parquet .*: fetch it again"):
            list(parquet_rows(path, ("a",)))
