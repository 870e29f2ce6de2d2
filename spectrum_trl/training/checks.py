"""Checks of a recipe that run before anything is loaded and report all problems at once."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec

from transformers.integrations import get_available_reporting_integrations

from spectrum_trl.data.conversations import check_files
from spectrum_trl.data.mixture import select_tasks
from spectrum_trl.errors import UserError, refuse
from spectrum_trl.models.load import is_adapter, load_config
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.training.adapter import check_sharded_adapter
from spectrum_trl.training.demo_evaluation import check_recorded
from spectrum_trl.training.model_checks import check_packing


def check_all(recipe: Recipe, *, environment: bool = True) -> None:
    """Check a recipe before the data are built or weights are loaded.

    Args:
        recipe: The parsed recipe.
        environment: Whether to check the packages needed for training; a preview does not need them.

    Raises:
        UserError: With all problems at once.
    """
    checks: list[Callable[[], object]] = [
        lambda: check_recipe(recipe),
        lambda: select_tasks(recipe.data),
        lambda: check_files(recipe.data.train_files),
        lambda: _check_packing(recipe),
        lambda: check_recorded(recipe),
    ]
    if environment:
        checks.append(lambda: _check_packages(recipe))
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except UserError as error:
            problems += error.problems
    refuse(problems)


def _check_packing(recipe: Recipe) -> None:
    """Check packing with the attention that the recipe names; a model's default is known only later."""
    named = recipe.model.attn_implementation
    if named and recipe.model.model_name_or_path and not recipe.run.new_model:
        name, revision = str(recipe.model.model_name_or_path), recipe.model.model_revision
        config = load_config(name, revision=revision).get_text_config()
        check_packing(recipe.training, config=config, attention=named)


def check_recipe(recipe: Recipe) -> None:
    """Check the fields of a recipe against each other and against the model's files.

    Raises:
        UserError: With all problems at once.
    """
    refuse(f"{recipe.path}: {problem}" for problem in _recipe_problems(recipe))
    if recipe.model.use_peft and recipe.training.fsdp:
        check_sharded_adapter(recipe)


def _recipe_problems(recipe: Recipe) -> Iterator[str]:
    if recipe.run.new_model and recipe.run.copy_role_tokens_from:
        yield "copy_role_tokens_from cannot be combined with new_model; remove it"
    if bool(recipe.run.new_model) == bool(recipe.model.model_name_or_path):
        yield "set either model_name_or_path or new_model"
    name, revision = recipe.model.model_name_or_path, recipe.model.model_revision
    if name and is_adapter(name, revision=revision):
        yield (
            f"model_name_or_path: {name} is an adapter, not a whole model; merge it first: "
            f"spectrum-trl merge {name} FOLDER"
        )
    saved = {module.rpartition(".")[2] for module in recipe.model.lora_modules_to_save or []}
    whole = {"embed_tokens", "lm_head"} <= saved
    if recipe.run.copy_role_tokens_from and recipe.model.use_peft and not whole:
        yield (
            "copy_role_tokens_from changes embeddings that a LoRA adapter does not include; add "
            "`lora_modules_to_save: [embed_tokens, lm_head]`"
        )
    if recipe.training.fsdp and recipe.run.evaluate != "none":
        yield "evaluate needs the whole model in one process; run `spectrum-trl tiny` later"
    if recipe.training.trust_remote_code:
        yield "trust_remote_code is not supported; use an architecture that transformers has"
    yield from _lost_row_order(recipe)


def _lost_row_order(recipe: Recipe) -> Iterator[str]:
    """Yield settings with which a resumed run trains on other rows than an uninterrupted one."""
    if recipe.training.ignore_data_skip:
        yield "ignore_data_skip: a resumed run would repeat rows of its epoch; remove it"
    config = recipe.training.accelerator_config
    for name, lost in (("use_seedable_sampler", False), ("dispatch_batches", True)):
        if getattr(config, name, None) is lost:
            yield (
                f"accelerator_config: {name}: {str(lost).lower()} gives a resumed run other rows than an "
                "uninterrupted one; remove it"
            )


def _check_packages(recipe: Recipe) -> None:
    problems = []
    for tracker in recipe.training.report_to or ():
        if tracker not in ("none", "all") and tracker not in get_available_reporting_integrations():
            extra = "'spectrum-trl[wandb]'" if tracker == "wandb" else tracker
            problems.append(f"report_to: {tracker} is not installed; run `pip install {extra}`")
    if recipe.model.load_in_4bit and find_spec("bitsandbytes") is None:
        problems.append(
            "load_in_4bit: bitsandbytes is not installed; run `pip install 'spectrum-trl[quant]'`"
        )
    if recipe.training.use_liger_kernel and find_spec("liger_kernel") is None:
        problems.append("use_liger_kernel: liger-kernel is not installed; run `pip install liger-kernel`")
    attention = recipe.model.attn_implementation or ""
    if attention.startswith("flash_attention") and find_spec("flash_attn") is None:
        problems.append(
            f"attn_implementation: {attention} needs flash-attn, which is not installed; install flash-attn, "
            "or set `attn_implementation: sdpa`"
        )
    refuse(problems)
