"""Train by a recipe: parse, load, train, save."""

import os
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import cast, get_args

from accelerate import PartialState
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTTrainer, get_peft_config, get_quantization_config

from spectrum_trl.console import console
from spectrum_trl.errors import UserError, user_errors
from spectrum_trl.models.initialise import new_model, new_tokenizer
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.models.role_tokens import check_sibling, copy_role_tokens
from spectrum_trl.prompts import templates
from spectrum_trl.suite.task import Split
from spectrum_trl.tiny import measure
from spectrum_trl.tiny.report import report_run
from spectrum_trl.training import preview
from spectrum_trl.training.mixture import Mixture, build_mixture, texts_of
from spectrum_trl.training.packing import check_packing
from spectrum_trl.training.recipe import Recipe, read_recipe
from spectrum_trl.training.run_folder import begin_run, check_output_dir, generation_config, save_run

PREVIEW_SAMPLES = 3


def launch(recipe_file: str) -> None:
    """Run a recipe file that Python was started with, under ``accelerate launch``, torchrun or alone.

    Args:
        recipe_file: The recipe's ``__file__``; the command line's words override its fields.
    """
    with user_errors():
        train(read_recipe(recipe_file, overrides=sys.argv[1:]))


def train(recipe: Recipe) -> None:
    """Train, save, and evaluate where the recipe asks for it.

    Args:
        recipe: The parsed recipe.

    Raises:
        UserError: For every fault that can be found before the first step.
    """
    is_main = int(os.environ.get("RANK", "0")) == 0
    out = console(quiet=not is_main)
    if is_main:
        check_output_dir(recipe)
    checkpoint = _checkpoint(recipe)
    started = time.monotonic()
    tokenizer, family, mixture = prepare(recipe, show_progress=is_main)
    preview.show(
        mixture, tokenizer=tokenizer, console=out, samples=PREVIEW_SAMPLES, seed=recipe.data.mixture_seed
    )
    model = _load(recipe, tokenizer=tokenizer, family=family, out=out)
    if is_main:
        begin_run(recipe, mixture=mixture)
    _report(out, "data and model", started)
    _evaluate(recipe, model, tokenizer, out=out, when="before")
    trainer = SFTTrainer(
        model=model,
        args=recipe.training,
        train_dataset=mixture.dataset,
        processing_class=tokenizer,
        peft_config=get_peft_config(recipe.model),
    )
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=checkpoint)
    _report(out, "training", started)
    save_run(trainer, tokenizer=tokenizer, generation=generation_config(tokenizer))
    out.print(f"saved to {recipe.training.output_dir}", markup=False)
    _evaluate(recipe, cast(PreTrainedModel, trainer.model), tokenizer, out=out, when="after")
    trainer.end()


def prepare(recipe: Recipe, *, show_progress: bool = False) -> tuple[PreTrainedTokenizerBase, str, Mixture]:
    """Load or learn the tokenizer, install the template, and build the data: all of it but the model.

    Args:
        recipe: The parsed recipe.
        show_progress: Whether to show a bar for each task.

    Returns:
        Tokenizer, template family, and mixture.
    """
    _check(recipe)
    if donor := recipe.run.copy_role_tokens_from:
        check_sibling(donor, model=str(recipe.model.model_name_or_path), revision=recipe.model.model_revision)
    if recipe.run.new_model:
        words = ",".join(recipe.run.new_vocab_tasks or [])
        more = replace(recipe.data, tasks=words, split=list(get_args(Split)))
        texts = chain(texts_of(recipe.data), texts_of(more))
        tokenizer: PreTrainedTokenizerBase = new_tokenizer(texts, vocab_size=recipe.run.new_vocab_size)
    else:
        tokenizer = load_tokenizer(str(recipe.model.model_name_or_path), revision=recipe.model.model_revision)
    family = templates.install(tokenizer)
    mixture = build_mixture(
        recipe.data,
        tokenizer=tokenizer,
        max_length=recipe.training.max_length,
        assistant_only=recipe.training.assistant_only_loss,
        show_progress=show_progress,
    )
    return tokenizer, family, mixture


def _check(recipe: Recipe) -> None:
    """Raise all faults between fields at once."""
    problems = []
    if recipe.run.new_model and recipe.run.copy_role_tokens_from:
        problems.append(f"{recipe.path}: copy_role_tokens_from has no use for a new_model; remove it")
    if bool(recipe.run.new_model) == bool(recipe.model.model_name_or_path):
        problems.append(f"{recipe.path}: give one of model_name_or_path and new_model")
    saved = set(recipe.model.lora_modules_to_save or [])
    if (
        recipe.run.copy_role_tokens_from
        and recipe.model.use_peft
        and not {"embed_tokens", "lm_head"} <= saved
    ):
        problems.append(
            f"{recipe.path}: copy_role_tokens_from changes embeddings that a LoRA adapter does not hold; add "
            "`lora_modules_to_save: [embed_tokens, lm_head]`"
        )
    if recipe.training.fsdp and recipe.run.evaluate != "none":
        problems.append(
            f"{recipe.path}: evaluate needs the whole model in one process; run `spectrum-trl eval` after"
        )
    probability = recipe.data.description_probability
    if probability is not None and not 0 <= probability <= 1:
        problems.append(f"{recipe.path}: description_probability must lie in [0, 1], but it is {probability}")
    if recipe.training.trust_remote_code:
        problems.append(
            f"{recipe.path}: trust_remote_code stays off; use an architecture that transformers has"
        )
    for tracker in recipe.training.report_to or ():
        if tracker in ("wandb", "trackio") and find_spec(tracker) is None:
            problems.append(f"report_to: {tracker} is not installed; run `pip install 'spectrum-trl[wandb]'`")
    if recipe.model.load_in_4bit and find_spec("bitsandbytes") is None:
        problems.append(
            "load_in_4bit: bitsandbytes is not installed; run `pip install 'spectrum-trl[quant]'`"
        )
    if problems:
        raise UserError(*problems)


def _load(
    recipe: Recipe, *, tokenizer: PreTrainedTokenizerBase, family: str, out: Console
) -> PreTrainedModel:
    """Load or initialise the model, with trained role tokens where the recipe names a donor."""
    arguments = recipe.model
    if recipe.run.new_model:
        assert isinstance(recipe.run.new_model, dict)
        model = new_model(recipe.run.new_model, vocab_size=len(tokenizer), seed=recipe.training.seed)
    else:
        quantization = get_quantization_config(arguments)
        model = load_model(
            str(arguments.model_name_or_path),
            revision=arguments.model_revision,
            dtype=arguments.dtype,
            attn_implementation=arguments.attn_implementation,
            quantization_config=quantization,
            device_map={"": PartialState().local_process_index} if quantization else None,
        )
    if donor := recipe.run.copy_role_tokens_from:
        copied = copy_role_tokens(model, tokenizer=tokenizer, family=family, sibling=donor)
        out.print(f"role tokens: {', '.join(copied)} copied from {donor}", markup=False)
    elif "copy_role_tokens_from" in recipe.settings:
        out.print(
            "role tokens: the model's own embeddings; for a base checkpoint, which never trained them, name "
            "its instruct sibling by --copy_role_tokens_from"
        )
    model.generation_config = generation_config(tokenizer)
    config = model.config.get_text_config()
    check_packing(recipe.training, config=config, attention=str(config._attn_implementation))
    return model


def _checkpoint(recipe: Recipe) -> str | None:
    """Resolve ``last`` to the newest checkpoint of the output folder."""
    wanted = recipe.training.resume_from_checkpoint
    if wanted != "last":
        return wanted
    folder = Path(str(recipe.training.output_dir))
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        raise UserError(
            f"resume_from_checkpoint: {recipe.training.output_dir} holds no checkpoint; leave it out"
        )
    return found


def _evaluate(
    recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, out: Console, when: str
) -> None:
    """Measure the model on the tiny world's held-out distributions."""
    if recipe.run.evaluate == "none" or int(os.environ.get("RANK", "0")):
        return
    started = time.monotonic()
    folder = Path(str(recipe.training.output_dir))
    measure.save(measure.evaluate(model, tokenizer, show_progress=True), folder / f"{when}.json")
    _report(out, f"evaluation {when} training", started)
    if when == "after":
        report_run(folder, out=out)


def _report(out: Console, phase: str, started: float) -> None:
    out.print(f"[bold]{phase}[/]: {time.monotonic() - started:.0f} s")
