"""A recipe's file is strict YAML, and the same recipe to Python."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.launch import check_names
from spectrum_trl.recipe.fields import known_fields
from spectrum_trl.recipe.recipe_file import (
    LAUNCH_LINE,
    RecipeFile,
    field_names,
    read_recipe_file,
    task_names,
    write_recipe,
)
from tests.messages import named, naming

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
ROOT = Path(__file__).parents[2]
# Runs a command, and says which of the heavy libraries it has imported.
PROBE = """
import sys
from spectrum_trl.commands.main import main
sys.argv = ["spectrum-trl", *sys.argv[1:]]
try:
    main()
finally:
    print("imported:", *{"torch", "transformers", "trl", "datasets", "scipy.stats"} & sys.modules.keys())
"""


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
        ("a: 1\nb: 2\na: 3\n", "line 3: .*'a'.* line 1"),
        ("fsdp_config:\n  version: 2\n  version: 1\n", "line 3: .*'version'.* line 2"),
        ("tasks:\n  a: {weight: 1, weight: 2}\n", "line 2: .*'weight'.* line 2"),
        ("x:\n  - {k: 1,\n     k: 2}\n", "line 3: .*'k'.* line 2"),
        ("3: x\n", "line 1: .*'3'.* string"),
        ("x: {null: 1}\n", "line 1: .*'null'.* string"),
        ("x: {on: 1}\n", "line 1: .*'on'.* string"),
        ("x: {2026-01-01: 1}\n", "line 1: .*'2026-01-01'.* string"),
        ("<<: {a: 1}\n", "line 1: .*'<<'.* string"),
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
    assert re.search(told, "\n".join(problems_of(tmp_path, text)))


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
@pytest.mark.slow
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


def test_the_names_read_from_the_libraries_sources_are_those_of_their_fields() -> None:
    assert field_names() == known_fields().keys()


@pytest.mark.parametrize(
    "words, named",
    [
        (["train", "dmo"], ["'demo'"]),
        (["train", "demo", "--lerning_rate", "1", "--tasks", "coinflp"], ["'learning_rate'", "'coinflip'"]),
        (["preview", "demo", "--tasks=coinflip,urm"], ["'urm'"]),
        (["data", "show", "coinflp"], ["'coinflip'"]),
        (["eval", "spectrum-trl/tiny-base", "--format", "chatt"], ["chatt"]),
        (["eval", "spectrum-trl/tiny-base", "--metadata", "sed=1"], ["'seed'"]),
    ],
)
@pytest.mark.slow
def test_misspelt_names_are_refused_before_the_libraries_are_imported(
    words: list[str], named: list[str]
) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "imported:\n" in done.stdout
    assert all(name in done.stderr for name in named) and "Traceback" not in done.stderr


def test_a_misspelt_key_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model_name_or_path: x\nlerning_rate: 1\ntasks: [coinflip, coinflp]\n")
    with pytest.raises(Exception) as caught:
        check_names(file, ["--eval_tasks", "flihgt"])
    key, task, evaluated = caught.value.problems
    assert named(key, file, "line 2", "'lerning_rate'", "'learning_rate'")
    assert named(task, "'coinflp'", "'coinflip'") and named(evaluated, "eval_tasks", "'flihgt'", "'flight'")


@pytest.mark.parametrize(
    "words, names",
    [
        ([], ["a", "b"]),
        (["--tasks", "c", "d", "--seed", "1"], ["c", "d"]),
        (["--tasks", "c,d"], ["c", "d"]),
        (["--tasks=c"], ["c"]),
        (["--tasks", '["c"]'], []),
    ],
)
def test_tasks_of_the_command_line_stand_in_place_of_the_recipes(words: list[str], names: list[str]) -> None:
    assert task_names(RecipeFile({"tasks": {"a": None, "b": {"weight": 2}}}, {}, []), words) == names


@pytest.mark.parametrize("word", ["--multi_gpu", "--main-process-port=0"])
def test_options_of_the_launcher_pass_where_it_is_started(word: str) -> None:
    check_names("demo", [word], launcher=True)
    with pytest.raises(Exception, match="unknown option"):
        check_names("demo", [word])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("batch_size", "per_device_train_batch_size"),
        ("epochs", "num_train_epochs"),
        ("lr", "learning_rate"),
        ("scheduler", ""),
        ("tokenizer", ""),
    ],
)
def test_names_of_other_tools_are_refused_by_name(name: str, meant: str) -> None:
    with pytest.raises(Exception, match=naming(f"--{name}", meant or "option")):
        check_names("demo", [f"--{name}", "1"])
