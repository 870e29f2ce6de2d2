"""What can be told from a recipe alone is told before anything is loaded."""

from pathlib import Path

import pytest
from transformers import AutoConfig, PreTrainedModel
from trl import ModelConfig, SFTConfig

from spectrum_trl.errors import UserError
from spectrum_trl.paths import TINY_BASE
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.training.checks import check_all, check_lora_targets, check_optimizer, check_recipe
from tests.messages import named, naming
from tests.processes import printed, run_recipe

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
        (
            "demo",
            ["--initialise_role_tokens", "line_breaks"],
            "copy_role_tokens_from and initialise_role_tokens both replace the role tokens",
        ),
        (
            "demo",
            ["--copy_role_tokens_from", "", "--initialise_role_tokens", "line_breaks", "--use_peft", "true"],
            "initialise_role_tokens changes embeddings that a LoRA adapter does not include",
        ),
        ("demo", ["--trained_embeddings", "role_tokens", "--weight_decay", "0.1"], "`weight_decay: 0.0`"),
        ("full_ft", ["--trained_embeddings", "role_tokens"], "whole embeddings on each process"),
        (
            "lora",
            ["--trained_embeddings", "role_tokens", "--lora_modules_to_save", "[]"],
            "needs trained embeddings; add `lora_modules_to_save",
        ),
    ],
)
def test_fields_that_exclude_each_other_are_refused(
    tmp_path: Path, recipe: str, words: list[str], told: str
) -> None:
    parsed = read_recipe(recipe, overrides=[*ON_A_CPU, "--output_dir", str(tmp_path / "x"), *words])
    with pytest.raises(UserError, match=told):
        check_recipe(parsed)


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["--dtype", "bfloat16"], "dtype bfloat16"),
        (["--dtype", "auto"], "dtype float16"),
        (["--dtype", "bfloat16", "--load_in_4bit", "true"], "dtype bfloat16"),
        (["--dtype", "bfloat16", "--load_in_8bit", "true"], None),
        (["--dtype", "float32"], None),
        (["--dtype", "bfloat16", "--lora_modules_to_save", "[]"], None),
        (["--dtype", "bfloat16", "--bf16", "true"], None),
    ],
    ids=lambda value: " ".join(value or ()) if isinstance(value, list) else "",
)
def test_frozen_weights_of_16_bits_without_mixed_precision_are_refused_before_the_data_are_built(
    tmp_path: Path, words: list[str], refused: str | None
) -> None:
    base = tmp_path / "base"
    # No weights: nothing but the configuration may be read. Rows of 40 numbers stay unquantized on a CPU.
    AutoConfig.from_pretrained(TINY_BASE, dtype="float16", hidden_size=40).save_pretrained(base)
    given = ["--model_name_or_path", str(base), "--copy_role_tokens_from", "", "--tasks", "coinflip"]
    given += ["--output_dir", str(tmp_path / "x"), *ON_A_CPU]
    recipe = read_recipe("recipes/lora.yaml", overrides=[*given, *words])
    if refused is None:
        check_all(recipe, environment=False)
        return
    with pytest.raises(UserError, match=naming(refused, "mixed precision")):
        check_all(recipe, environment=False)


def test_a_run_that_ends_before_its_first_checkpoint_says_so(tmp_path: Path) -> None:
    words = ["--tasks", "tiny_range", "--max_sequences", "5", "--evaluate", "none", "--max_steps", "1"]
    saving = ["--save_strategy", "steps", "--save_steps", "2", "--output_dir", str(tmp_path / "x")]
    done = run_recipe("recipes/demo.yaml", *words, *saving)
    assert done.returncode == 0, done.stderr
    assert "save_steps" in printed(done.stdout, "steps")[0] and printed(done.stdout, "steps")[1] == [1, 2]


def test_mistakes_of_all_kinds_are_told_in_one_start(tmp_path: Path) -> None:
    words = ["--trust_remote_code", "true", "--tasks", "coinflip", "--train_files", "nowhere.jsonl"]
    words += ["--packing", "true", "--attn_implementation", "sdpa", "--report_to", "clearml"]
    done = run_recipe("recipes/demo.yaml", *words, "--output_dir", tmp_path / "x")
    assert done.returncode == 2 and not (tmp_path / "x").exists()
    for told in ("trust_remote_code", "nowhere.jsonl does not exist"):
        assert told in done.stderr
    # Before the data are shown and the model is loaded.
    assert named(done.stderr, "packing", "'sdpa'") and "role tokens" not in done.stdout
    assert named(done.stderr, "clearml", "not installed")


@pytest.mark.parametrize(
    "targets", [["q_proj", "v_proj"], ["self_attn.q_proj"], "all-linear", r".*\.(q|v)_proj", None], ids=str
)
def test_targets_that_the_model_has_pass(random_model: PreTrainedModel, targets: object) -> None:
    arguments = ModelConfig(use_peft=True, lora_modules_to_save=["embed_tokens", "lm_head"])
    arguments.lora_target_modules = targets
    check_lora_targets(arguments, model=random_model)


def test_all_targets_that_the_model_lacks_are_told_with_the_nearest(random_model: PreTrainedModel) -> None:
    arguments = ModelConfig(
        use_peft=True,
        lora_target_modules=["q_prj", "v_proj", "qkv"],
        lora_modules_to_save=["embed_token"],
        lora_target_parameters=["nothing.weight"],
    )
    with pytest.raises(UserError) as caught:
        check_lora_targets(arguments, model=random_model)
    problems = caught.value.problems
    assert len(problems) == 4
    assert named(problems[0], "lora_target_modules", "'q_prj'", "'q_proj'")
    assert named(problems[2], "lora_modules_to_save", "'embed_token'", "'embed_tokens'")


@pytest.mark.parametrize("pattern", ["q_proj", ".*nothing", "("])
def test_a_pattern_that_matches_no_module_is_refused(random_model: PreTrainedModel, pattern: str) -> None:
    arguments = ModelConfig(use_peft=True)
    arguments.lora_target_modules = pattern
    with pytest.raises(UserError, match="regular expression"):
        check_lora_targets(arguments, model=random_model)


def test_without_lora_nothing_is_checked(random_model: PreTrainedModel) -> None:
    check_lora_targets(ModelConfig(lora_target_modules=["nothing", "at_all"]), model=random_model)


@pytest.mark.parametrize("name", ["mlp", "norm", "layers"])
def test_what_peft_puts_no_adapter_on_is_no_target(random_model: PreTrainedModel, name: str) -> None:
    with pytest.raises(UserError, match=naming("lora_target_modules", f"'{name}'", "q_proj")):
        check_lora_targets(
            ModelConfig(use_peft=True, lora_target_modules=[name, "q_proj"]), model=random_model
        )


@pytest.mark.parametrize(
    ("optim", "arguments", "told"),
    [
        ("adamw_torch", None, None),
        ("adafactor", None, None),
        ("galore_adamw", None, "optim: .*galore"),
        ("ademamix", "beta1", "optim: ademamix"),
        ("schedule_free_adamw", None, "optim: schedule_free_adamw"),
    ],
)
def test_an_optimizer_that_cannot_be_made_is_refused_before_training(
    random_model: PreTrainedModel, optim: str, arguments: str | None, told: str | None
) -> None:
    training = SFTConfig(use_cpu=True, bf16=False, optim=optim, optim_args=arguments)
    if told is None:
        check_optimizer(training, model=random_model)
        return
    with pytest.raises(UserError, match=told):
        check_optimizer(training, model=random_model)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--use_peft", "true", "--lora_target_modules", "q_prj"], "Did you mean 'q_proj'?"),
        (["--optim", "schedule_free_adamw"], "optim: schedule_free_adamw"),
        (["--eos_token", "<|endoftext|>"], "remove eos_token"),
    ],
)
def test_a_run_ends_with_one_message_before_anything_is_written(
    tmp_path: Path, words: list[str], told: str
) -> None:
    small = ["--tasks", "tiny_range", "--max_sequences", "5", "--evaluate", "none"]
    small += ["--copy_role_tokens_from", ""]
    done = run_recipe("recipes/demo.yaml", *small, *words, "--output_dir", tmp_path / "x")
    assert (done.returncode, (tmp_path / "x").exists()) == (2, False), done.stderr
    assert told in done.stderr and "Traceback" not in done.stderr
