"""Recipes are read strictly, all faults at once, and every bundled one is sound."""

import ast
from pathlib import Path

import pytest
import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.training.recipe import LAUNCH_LINE, read_recipe, write_recipe

RECIPES = sorted(bundled("recipes").glob("*.yaml"))
MINIMAL = "model_name_or_path: spectrum-trl/tiny-base\noutput_dir: x\ntasks: [tiny_counts]\nuse_cpu: true\n"


def recipe_file(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_bundled_recipe_is_both_python_and_yaml_and_parses(file: Path) -> None:
    text = file.read_text()
    ast.parse(text)
    assert yaml.safe_load(text)["launch"]
    assert LAUNCH_LINE in text
    recipe = read_recipe(file, overrides=["--bf16", "false", "--use_cpu", "true"])
    assert recipe.training.assistant_only_loss is ("all_tokens" not in file.stem)
    assert recipe.training.output_dir == f"runs/{file.stem}"
    assert recipe.training.report_to == []


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_bundled_recipe_opens_with_its_command_costs_and_trade_offs(file: Path) -> None:
    header = file.read_text().split(LAUNCH_LINE)[0]
    assert f"accelerate launch recipes/{file.stem}.yaml" in header
    for word in ("hardware:", "time", "memory", "score", "trade-offs:"):
        assert word in header.lower()


def test_all_faults_of_a_recipe_are_told_at_once_with_line_and_nearest_name(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, MINIMAL + "learning_rat: 1e-5\nmax_steps: many\npacking: 3\nmax_steps: 4\n")
    with pytest.raises(UserError) as caught:
        read_recipe(file, overrides=["--max_stepz", "3"])
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    assert f"{file}, line 5: unknown key 'learning_rat'. Did you mean 'learning_rate'?" in problems
    assert "line 8: key 'max_steps' repeats line 6" in problems
    assert "packing: expected a valid boolean" in problems
    assert "--max_stepz. Did you mean 'max_steps'?" in problems


@pytest.mark.parametrize("text", ["a: [1,\nb: 2", "- a\n- b\n", ": :\n  - {", "\tx: 1"])
def test_a_file_that_is_no_yaml_mapping_is_one_clear_message(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="recipe.yaml"):
        read_recipe(recipe_file(tmp_path, text))


def test_the_command_line_wins_over_the_file_and_is_recorded(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, MINIMAL + "max_steps: 5\nlearning_rate: 1e-4\n")
    recipe = read_recipe(file, overrides=["--max_steps", "7", "--tasks", '{"tiny_range": {"weight": 2}}'])
    assert (recipe.training.max_steps, recipe.training.learning_rate) == (7, 1e-4)
    assert recipe.data.tasks == {"tiny_range": {"weight": 2}}
    assert recipe.settings["max_steps"] == 7


def test_loss_is_on_outputs_only_unless_a_recipe_says_otherwise(tmp_path: Path) -> None:
    assert read_recipe(recipe_file(tmp_path, MINIMAL)).training.assistant_only_loss is True


def test_an_unknown_recipe_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'demo'"):
        read_recipe("dmo")


def test_a_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    settings = read_recipe("demo", overrides=["--max_steps", "3"]).settings
    write_recipe(settings, tmp_path / "again.yaml")
    ast.parse((tmp_path / "again.yaml").read_text())
    assert read_recipe(tmp_path / "again.yaml").settings == settings
    assert [file.name for file in tmp_path.iterdir()] == ["again.yaml"]
