"""Fields are read from the command line as users write them, and listed by --help."""

from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.recipe.arguments import TaskOptions
from spectrum_trl.recipe.fields import known_fields
from spectrum_trl.recipe.read import read_recipe
from tests.processes import run_command, run_recipe


def given(*words: str) -> object:
    recipe = read_recipe("demo", overrides=words)
    return recipe.settings[words[0].lstrip("-").replace("-", "_").split("=")[0]]


@pytest.mark.parametrize(
    "words", [["a", "b"], ["a,b"], ["a,", "b"], ['["a", "b"]'], ['{"a": null, "b": {}}']], ids=str
)
def test_tasks_are_read_however_a_list_is_written(words: list[str]) -> None:
    recipe = read_recipe("demo", overrides=["--tasks", *words, "--max_steps", "3"])
    assert recipe.data.tasks == {"a": TaskOptions(), "b": TaskOptions()}
    assert recipe.training.max_steps == 3


def test_no_tasks_are_an_empty_text() -> None:
    assert read_recipe("demo", overrides=["--tasks", ""]).data.tasks == {}


@pytest.mark.parametrize(
    "field", ["split", "lora_target_modules", "new_vocab_tasks", "report_to", "label_names"]
)
def test_other_lists_are_read_in_the_same_ways(field: str) -> None:
    one, two = {"split": ("train", "test"), "report_to": ("wandb", "mlflow")}.get(field, ("q_proj", "v_proj"))
    for words in ([one, two], [f"{one},{two}"], [f'["{one}", "{two}"]']):
        recipe = read_recipe("demo", overrides=[f"--{field}", *words, "--use_peft", "true"])
        assert recipe.settings[field] == [one, two]


def test_files_take_a_list_or_a_mapping() -> None:
    assert list(read_recipe("demo", overrides=["--train_files", "a.jsonl", "b.jsonl"]).data.train_files) == [
        "a.jsonl",
        "b.jsonl",
    ]
    words = ["--train_files", '{"a,b.jsonl": {"max_sequences": 3, "description_probability": 0.5}}']
    (name, options), *_ = read_recipe("demo", overrides=words).data.train_files.items()
    assert (name, options.max_sequences, options.description_probability) == ("a,b.jsonl", 3, 0.5)


@pytest.mark.parametrize(
    ("words", "on"),
    [([], True), (["true"], True), (["True"], True), (["false"], False), ([""], False), (["null"], None)],
    ids=str,
)
def test_fsdp_is_switched_as_the_recipes_spell_it(words: list[str], on: bool | None) -> None:
    recipe = read_recipe("demo", overrides=["--evaluate", "none", "--fsdp", *words])
    assert recipe.training.fsdp is on and bool(recipe.training.fsdp_plugin_args) is bool(on)


@pytest.mark.parametrize("value", ["true", "false", '""', '"true"', "null"])
def test_fsdp_is_switched_in_a_file_as_on_the_command_line(tmp_path: Path, value: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"output_dir: {tmp_path}/x\nuse_cpu: true\nfsdp: {value}\n")
    recipe = read_recipe(file)
    assert bool(recipe.training.fsdp) is bool(recipe.training.fsdp_plugin_args) is ("true" in value)


def test_hyphens_equal_signs_and_bare_switches_are_understood() -> None:
    assert given("--max-steps=3") == 3
    assert given("--packing") is True
    assert given("--max_length", "null") is None
    assert given("--learning_rate", "1e-5") == 1e-5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seed"], "--seed: expected a value"),
        (["--seed", "1", "2"], '--seed: expected one value, but found "1 2"'),
        (["x", "--seed", "1"], '"x" does not belong to any option'),
        (["--sed", "1"], "unknown option --sed. Did you mean 'seed'?"),
        (["--torch_dtype", "bfloat16"], "unknown option --torch_dtype. Use dtype."),
        (["--tasks", '{"a": 1, "a": 2}'], "the key 'a' is repeated"),
        (["--tasks", "[1"], "--tasks: not valid JSON"),
        (["--tasks", "[" * 100_000], "nested too deeply"),
        (["--seed", "9" * 5000], "--seed"),
        (["--fsdp", "maybe"], "--fsdp"),
    ],
)
def test_what_is_wrong_on_the_command_line_names_the_option(words: list[str], told: str) -> None:
    with pytest.raises(UserError) as caught:
        read_recipe("demo", overrides=words)
    assert any(problem.startswith("command line:") and told in problem for problem in caught.value.problems)


@pytest.mark.parametrize("word", ["--help", "-h"])
@pytest.mark.slow
def test_help_lists_every_field_ours_first_and_trains_nothing(word: str) -> None:
    done = run_recipe("recipes/demo.yaml", "--max_steps", "3", word)
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  --")]
    assert listed == [f"--{name}" for name in known_fields()] and listed[0] == "--tasks"
    assert max(map(len, done.stdout.splitlines())) <= 120 and "Training data" not in done.stdout
    for words in (["train", "demo", word], ["train", word]):
        assert run_command(*words).stdout == done.stdout
    other = run_recipe(
        "recipes/demo.yaml", word, RANK="1", WORLD_SIZE="2", LOCAL_RANK="1", MASTER_ADDR="localhost"
    )
    assert (other.returncode, other.stdout) == (0, "")


@pytest.mark.parametrize("value", ["-1e-5", "-3", "-.5", "-inf"])
def test_a_negative_number_is_a_value_and_told_as_out_of_range(value: str) -> None:
    with pytest.raises(UserError, match="learning_rate: expected"):
        read_recipe("demo", overrides=["--learning_rate", value, "--seed", "1"])
