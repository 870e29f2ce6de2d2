"""One reader for all YAML of users: nothing that is written there is lost in silence."""

from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.strict.yaml import read_mapping, read_yaml


def read(folder: Path, text: str, *, plain: bool = False):
    file = folder / "a.yaml"
    file.write_text(text)
    return read_yaml(file, plain=plain)


def test_values_lines_and_numbers_of_yaml_1_2(tmp_path: Path) -> None:
    found = read(tmp_path, "a: 1e-6\nb:\n  c: [x, {d: 2}]\n")
    assert found.values == {"a": 1e-6, "b": {"c": ["x", {"d": 2}]}} and not found.problems
    assert found.lines["b", "c"] == 3 == found.lines["b", "c", 1, "d"]


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\na: 2\n", 2), ("b:\n- {c: 1, c: 2}\n", 2), ("? [a]\n: 1\n", 1), ("a: 1\nb: 2026-13-01\n", 2)],
)
def test_what_would_be_lost_is_a_problem_with_its_line(
    tmp_path: Path, text: str, line: int, plain: bool
) -> None:
    (problem,) = read(tmp_path, text, plain=plain).problems
    assert f"a.yaml, line {line}: " in problem


@pytest.mark.parametrize(
    ("text", "value"), [("a: &x [1]\nb: *x\n", [1]), ("b: !function m.f\n", "m.f"), ("1: 2\nb: 3\n", 3)]
)
def test_plain_files_have_no_aliases_tags_or_other_keys(tmp_path: Path, text: str, value: object) -> None:
    assert read(tmp_path, text).values["b"] == value
    try:
        assert len(read(tmp_path, text, plain=True).problems) == 1
    except UserError as error:
        assert "alias" in str(error)


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "[" * 5000, "- 1", "a: 1\n---\nb: 2\n", "a: \0"])
def test_what_is_no_mapping_is_one_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"a\.yaml") as raised:
        read(tmp_path, text)
    assert len(raised.value.problems) == 1


def test_a_mapping_is_read_with_all_of_its_problems(tmp_path: Path) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text("a: 1\nb: [x]\n")
    assert read_mapping(file) == {"a": 1, "b": ["x"]}
    file.write_text("a: 1\na: 2\n3: x\n")
    with pytest.raises(UserError) as error:
        read_mapping(file)
    assert [problem.partition(", ")[2][:7] for problem in error.value.problems] == ["line 2:", "line 3:"]
