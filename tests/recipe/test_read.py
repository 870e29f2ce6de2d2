"""Recipes are read strictly, all problems at once, and every bundled one is sound."""

import ast
from pathlib import Path

import pytest
import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.recipe.arguments import TaskOptions
from spectrum_trl.recipe.read import LAUNCH_LINE, read_recipe, write_recipe
from tests.messages import named, naming

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


def test_all_problems_of_a_recipe_are_told_at_once_with_line_and_nearest_name(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, MINIMAL + "learning_rat: 1e-5\nmax_steps: many\npacking: 3\nmax_steps: 4\n")
    with pytest.raises(UserError) as caught:
        read_recipe(file, overrides=["--max_stepz", "3"])
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    assert named(problems, file, "line 5", "'learning_rat'", "'learning_rate'")
    assert named(problems, file, "line 8", "'max_steps'", "line 6")
    assert named(problems, file, "packing", "boolean") and named(problems, "--max_stepz", "'max_steps'")


@pytest.mark.parametrize("text", ["a: [1,\nb: 2", "- a\n- b\n", ": :\n  - {", "\tx: 1"])
def test_a_file_that_is_no_yaml_mapping_is_one_clear_message(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="recipe.yaml"):
        read_recipe(recipe_file(tmp_path, text))


def test_the_command_line_wins_over_the_file_and_is_recorded(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, MINIMAL + "max_steps: 5\nlearning_rate: 1e-4\n")
    recipe = read_recipe(file, overrides=["--max_steps", "7", "--tasks", '{"tiny_range": {"weight": 2}}'])
    assert (recipe.training.max_steps, recipe.training.learning_rate) == (7, 1e-4)
    assert recipe.data.tasks == {"tiny_range": TaskOptions(weight=2)}
    assert recipe.settings["tasks"] == {"tiny_range": {"weight": 2}}
    assert recipe.settings["max_steps"] == 7


def test_loss_is_on_outputs_only_unless_a_recipe_says_otherwise(tmp_path: Path) -> None:
    assert read_recipe(recipe_file(tmp_path, MINIMAL)).training.assistant_only_loss is True


def test_an_unknown_recipe_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=naming("dmo", "'demo'")):
        read_recipe("dmo")


def test_a_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    settings = read_recipe("demo", overrides=["--max_steps", "3"]).settings
    write_recipe(settings, tmp_path / "again.yaml")
    ast.parse((tmp_path / "again.yaml").read_text())
    assert read_recipe(tmp_path / "again.yaml").settings == settings
    assert [file.name for file in tmp_path.iterdir()] == ["again.yaml"]


def told(folder: Path, text: str = "", *words: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_recipe(recipe_file(folder, MINIMAL + text), overrides=words)
    return list(caught.value.problems)


@pytest.mark.parametrize("value", ["false", "0", "''", "[]", "3", "true"])
def test_a_task_takes_options_or_null_and_nothing_else(tmp_path: Path, value: str) -> None:
    text = MINIMAL.replace("tasks: [tiny_counts]", f"tasks:\n  tiny_range: null\n  tiny_counts: {value}")
    with pytest.raises(UserError) as caught:
        read_recipe(recipe_file(tmp_path, text))
    (problem,) = caught.value.problems
    assert named(problem, "line 5", "tasks.tiny_counts", "max_sequences", "weight")
    good = read_recipe(recipe_file(tmp_path, text.replace(f"tiny_counts: {value}", "tiny_counts: {}")))
    assert good.data.tasks == {"tiny_range": TaskOptions(), "tiny_counts": TaskOptions()}


def test_options_of_tasks_and_files_are_checked_where_they_stand(tmp_path: Path) -> None:
    text = (
        "train_files:\n  a.jsonl:\n    weight: 0\n    weigth: 2\n  b.jsonl: {description_probability: 1.5}\n"
    )
    problems = "\n".join(told(tmp_path, text))
    assert named(problems, "line 7", "train_files.a.jsonl.weight", 0.001, 0)
    assert named(problems, "line 8", "train_files.a.jsonl.weigth", "'weigth'", "'weight'")
    assert "description_probability" in problems.splitlines()[-1] and "line 9" in problems
    assert "is repeated" in told(tmp_path, "train_files: [a, b, a]\n")[0]


def test_another_model_needs_its_own_sibling(tmp_path: Path) -> None:
    text = "copy_role_tokens_from: spectrum-trl/tiny-base\n"
    other = ["--model_name_or_path", "some/other"]
    (problem,) = told(tmp_path, text, *other)
    assert problem.startswith("command line: --model_name_or_path")
    assert "--copy_role_tokens_from SIBLING" in problem and '--copy_role_tokens_from ""' in problem
    file = recipe_file(tmp_path, MINIMAL + text)
    for word, sibling in (("", None), ("null", None), ("some/sibling", "some/sibling")):
        recipe = read_recipe(file, overrides=[*other, "--copy_role_tokens_from", word])
        assert recipe.run.copy_role_tokens_from == sibling == recipe.settings["copy_role_tokens_from"]
    same = read_recipe(file, overrides=["--model_name_or_path", "spectrum-trl/tiny-base"])
    assert same.run.copy_role_tokens_from == "spectrum-trl/tiny-base"


def test_the_old_name_of_activation_checkpointing_is_heard(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, MINIMAL + "gradient_checkpointing: false\n")
    assert read_recipe(file).training.activation_checkpointing is False
    assert read_recipe(recipe_file(tmp_path, MINIMAL)).training.activation_checkpointing is True


def test_settings_are_recorded_as_given_without_what_libraries_fill_in(tmp_path: Path) -> None:
    text = "fsdp: true\nfsdp_config: {version: 2}\nlearning_rate: 1e-4\nweight_decay: 1.0e-4\n"
    settings = read_recipe(recipe_file(tmp_path, MINIMAL + text)).settings
    assert settings["fsdp_config"] == {"version": 2}
    assert (settings["learning_rate"], settings["weight_decay"]) == (1e-4, 1e-4)


def test_one_lora_target_stays_a_list_which_peft_matches_by_the_end_of_the_name(tmp_path: Path) -> None:
    lora = MINIMAL + "use_peft: true\nlora_target_modules: "
    assert read_recipe(recipe_file(tmp_path, lora + "[q_proj]")).model.lora_target_modules == ["q_proj"]
    assert read_recipe(recipe_file(tmp_path, lora + "all-linear")).model.lora_target_modules == "all-linear"
