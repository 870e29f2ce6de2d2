"""A recipe's file is strict YAML, and the same recipe to Python."""

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.recipe.recipe_file import LAUNCH_LINE, read_recipe_file, write_recipe

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
    | st.sampled_from(['"""', "'''", '# """', "1e-6", "no", "2026-01-01", "a\nb", "\\"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1_-", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


def problems_of(folder: Path, text: str) -> list[str]:
    file = folder / "r.yaml"
    file.write_text(text)
    try:
        return read_recipe_file(file).problems
    except UserError as error:
        return list(error.problems)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' repeats line 1"),
        ("fsdp_config:\n  version: 2\n  version: 1\n", "line 3: key 'version' repeats line 2"),
        ("tasks:\n  a: {weight: 1, weight: 2}\n", "line 2: key 'weight' repeats line 2"),
        ("x:\n  - {k: 1,\n     k: 2}\n", "line 3: key 'k' repeats line 2"),
        ("3: x\n", "line 1: key '3' is not a string in YAML"),
        ("x: {null: 1}\n", "line 1: key 'null' is not a string in YAML"),
        ("x: {on: 1}\n", "line 1: key 'on' is not a string in YAML"),
        ("x: {2026-01-01: 1}\n", "line 1: key '2026-01-01' is not a string in YAML"),
        ("<<: {a: 1}\n", "line 1: key '<<' is not a string in YAML"),
        ("a: &x 3\nb: *x\n", "line 1: YAML aliases"),
        ("a: " + "[" * 500 + "]" * 500, "nested too deeply"),
        ("a: " + "9" * 5000, "line 1: a: Exceeds the limit"),
        ("b: 1\na: 2026-13-45\n", "line 2: a: month must be"),
        ("a: !!python/object:os.system x\n", "line 1: a: could not determine a constructor"),
        ('a: !!int ""\n', "line 1: a: "),
        ('a: !!float "x"\n', "line 1: a: "),
        ("a: !!binary x\n", "line 1: a: "),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("", "expected a mapping"),
    ],
)
def test_what_yaml_would_let_pass_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    assert told in "\n".join(problems_of(tmp_path, text))


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ('# """\nb: 2\n', "line 4: 'b: 2' comes after the closing quotes"),
        ('# """ b\n', "line 3: 'b' comes after"),
        ('# """\n\n# a comment\n', None),
        ('b: x"""y"\n# """\n', "line 3: three quotes end the recipe"),
        ("b: 2\n", "the closing line is missing"),
    ],
)
def test_nothing_stands_behind_the_closing_quotes(tmp_path: Path, end: str, told: str | None) -> None:
    problems = problems_of(tmp_path, f"{LAUNCH_LINE}\na: 1\n{end}")
    assert any(told in problem for problem in problems) if told else problems == []


def test_a_byte_order_mark_is_skipped_and_other_encodings_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("a: 1\n", encoding="utf-8-sig")
    assert read_recipe_file(file).settings == {"a": 1}
    for encoding in ("utf-16", "latin-1"):
        file.write_text("a: é\n", encoding=encoding)
        with pytest.raises(UserError, match="not valid YAML|UTF-8"):
            read_recipe_file(file)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=st.dictionaries(st.text("abc", min_size=1), JSON, min_size=1, max_size=5))
def test_whatever_is_written_reads_back_the_same_and_is_python(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    file = tmp_path_factory.mktemp("recipe") / "r.yaml"
    write_recipe(values, file)
    ast.parse(file.read_text(encoding="utf-8"))
    read = read_recipe_file(file)
    assert (read.settings, read.problems) == (values, [])


def test_a_next_line_character_is_text_to_yaml_and_to_python(tmp_path: Path) -> None:
    write_recipe({"run_name": "a\x85b\u2028c"}, tmp_path / "r.yaml")
    ast.parse((tmp_path / "r.yaml").read_text(encoding="utf-8"))
    assert read_recipe_file(tmp_path / "r.yaml").settings == {"run_name": "a\x85b\u2028c"}


def test_a_token_for_the_hub_is_never_written(tmp_path: Path) -> None:
    write_recipe({"hub_token": "secret", "seed": 1}, tmp_path / "r.yaml")
    assert "secret" not in (tmp_path / "r.yaml").read_text()
