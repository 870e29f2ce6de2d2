"""Misspelt names are refused before the libraries that define them are imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from spectrum_trl.launch import check_names
from spectrum_trl.recipe.fields import known_fields
from spectrum_trl.recipe.recipe_file import RecipeFile, field_names, task_names

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
        check_names(file, [])
    assert caught.value.problems[0].startswith(f"{file}, line 2: unknown key 'lerning_rate'")
    assert len(caught.value.problems) == 2 and "'coinflp'" in caught.value.problems[1]


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
    with pytest.raises(Exception, match=f"unknown option --{name}.*{meant}"):
        check_names("demo", [f"--{name}", "1"])
