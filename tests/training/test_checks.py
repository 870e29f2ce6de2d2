"""What can be told from a recipe alone is told before anything is loaded."""

from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.training.checks import check_recipe
from tests.processes import run_recipe

ON_A_CPU = ["--use_cpu", "true", "--bf16", "false"]


@pytest.mark.parametrize(
    ("recipe", "words", "told"),
    [
        ("demo", ["--trust_remote_code", "true"], "trust_remote_code"),
        ("full_ft", ["--evaluate", "tiny"], "evaluate needs the whole model in one process"),
        (
            "demo",
            ["--model_name_or_path", "", "--copy_role_tokens_from", ""],
            "either model_name_or_path or new_model",
        ),
    ],
)
def test_fields_that_exclude_each_other_are_refused(
    tmp_path: Path, recipe: str, words: list[str], told: str
) -> None:
    parsed = read_recipe(recipe, overrides=[*ON_A_CPU, "--output_dir", str(tmp_path / "x"), *words])
    with pytest.raises(UserError, match=told):
        check_recipe(parsed)


def test_a_run_that_ends_before_its_first_checkpoint_says_so(tmp_path: Path) -> None:
    words = ["--tasks", "tiny_range", "--max_sequences", "5", "--evaluate", "none", "--max_steps", "1"]
    saving = ["--save_strategy", "steps", "--save_steps", "2", "--output_dir", str(tmp_path / "x")]
    done = run_recipe("recipes/demo.yaml", *words, *saving)
    assert done.returncode == 0, done.stderr
    assert "fewer than save_steps (2): no checkpoint will be saved before the end" in done.stdout


def test_mistakes_of_all_kinds_are_told_in_one_start(tmp_path: Path) -> None:
    words = ["--trust_remote_code", "true", "--tasks", "coinflip", "--train_files", "nowhere.jsonl"]
    words += ["--packing", "true", "--attn_implementation", "sdpa", "--report_to", "clearml"]
    done = run_recipe("recipes/demo.yaml", *words, "--output_dir", tmp_path / "x")
    assert done.returncode == 2 and not (tmp_path / "x").exists()
    for told in ("trust_remote_code", "nowhere.jsonl does not exist"):
        assert told in done.stderr
    # Before the data are shown and the model is loaded.
    assert "packing: attention 'sdpa' joins a batch" in done.stderr and "role tokens" not in done.stdout
    assert "clearml is not installed" in done.stderr
