"""JSON from outside is read strictly, whoever reads it."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spectrum_trl
from spectrum_trl.strict.json import last_json, read_json, strict_json

REFUSED = {
    "a repeated key": ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is repeated"),
    "deep lists": ("[" * 200 + "]" * 200, "nested too deeply"),
    "deep objects": ('{"a":' * 200 + "1" + "}" * 200, "nested too deeply"),
    "bottomless": ("[" * 100_000, "nested too deeply"),
    "digits": ("[" + "9" * 5000 + "]", "too long"),
    "digits of a fraction": ("0." + "9" * 5000, "too long"),
    "a large number": ("[1e999]", "too large"),
    "nan": ('{"a": NaN}', "NaN is not valid JSON"),
    "infinity": ("[-Infinity]", "-Infinity is not valid JSON"),
    "a cut value": ('{"a": [1,\n 2', "line 2, column 3"),
    "another encoding": (b'{"a": "\xff"}', "utf-8"),
    "nothing": ("", "not valid JSON"),
}
# Files that only this package or its trainer writes, texts that it has just made or has read strictly before,
# and numbers by a pattern.
OWN = {
    "recipe/recipe_file.py",
    "models/folder.py",
    # The header of a safetensors file, which that library has read before.
    "models/role_rows.py",
    "runs/checkpoints.py",
    "runs/resume.py",
    "ask/schemas.py",
    "data/prepare.py",
    "evaluation/saving.py",
    "scoring/store.py",
    "suite/synthetic/multinomial.py",
    "suite/sources/titanic.py",
}
# Of pydantic, pandas, pyarrow, transformers, requests and datasets.
READERS = (
    "validate_json",
    ".read_json",
    ".open_json",
    "load_from_json",
    ".json",
    "from_json",
    "from_json_file",
)
LIBRARIES = ("json", "orjson", "ujson", "simplejson", "pyarrow.json")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_what_loaders_pass_over_is_an_error(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        strict_json(text)


@given(json_values)
def test_what_is_json_is_read_as_python_reads_it(value: Any) -> None:
    assert strict_json(json.dumps(value)) == value


def test_a_wide_value_is_not_a_deep_one() -> None:
    wide = [[[n]] for n in range(5000)]
    assert strict_json(json.dumps(wide)) == wide


def test_python_s_own_constants_are_read_where_they_are_meant(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('\ufeff{"loss": Infinity}', "utf-8")
    assert read_json(file, finite=False) == {"loss": float("inf")}


@pytest.mark.parametrize("text", ["so {x} it is [1, 2", "deep " + "[" * 3000, "{} and NaN: [NaN]"])
def test_a_model_s_braces_are_no_error(text: str) -> None:
    assert last_json(text, first="[") is None


def test_nobody_reads_json_past_the_strict_reader() -> None:
    package = Path(spectrum_trl.__file__).parent
    found = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if file.relative_to(package).as_posix() != "strict/json.py" and _loads(file)
    }
    # Also none is left here that reads none any more.
    assert found == OWN


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("json.loads(text)", True),
        ("from json import loads\nloads(text)", True),
        ("import json as j\nj.load(file)", True),
        ("json.JSONDecoder().decode(text)", True),
        ("TypeAdapter(X).validate_json(text)", True),
        ("X.model_validate_json(text)", True),
        ("pd.read_json(path)", True),
        ("pyarrow.json.open_json(path)", True),
        ("TrainerState.load_from_json(path)", True),
        ("response.json()", True),
        ("Dataset.from_json(path)", True),
        ("load_dataset('json', data_files=path)", True),
        ("from spectrum_trl.strict.json import read_json\nread_json(path)", False),
        ("json.dumps(value)", False),
        ("task_files.load(tasks)", False),
        ("load_dataset('parquet', data_files=path)", False),
    ],
)
def test_the_sweep_sees_every_reader(code: str, reads: bool) -> None:
    assert any(map(_reads, ast.walk(ast.parse(code)))) == reads


def _loads(file: Path) -> bool:
    return any(map(_reads, ast.walk(ast.parse(file.read_text("utf-8")))))


def _reads(node: ast.AST) -> bool:
    """Tell whether code reads JSON by the standard library or by another one."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "json" and any(name.name.startswith(("load", "JSON")) for name in node.names)
    if isinstance(node, ast.Import):
        # Under another name the calls would not be seen.
        return any(name.name in LIBRARIES and (name.asname or name.name != "json") for name in node.names)
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    first = node.args[0] if node.args else None
    return (
        name in ("json.load", "json.loads", "json.JSONDecoder")
        or name.endswith(READERS)
        or (isinstance(first, ast.Constant) and first.value == "json" and name.endswith("load_dataset"))
    )
