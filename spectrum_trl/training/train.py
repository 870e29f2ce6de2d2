"""Train by a recipe: parse, load, train, save."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from rich.console import Console
from transformers import PreTrainedModel
from trl import SFTTrainer

from spectrum_trl.console import console
from spectrum_trl.errors import user_errors
from spectrum_trl.models.folder import generation_config
from spectrum_trl.training import preview
from spectrum_trl.training.adapter import adapter_config, train_in_single_precision
from spectrum_trl.training.checkpoints import checkpoint_of
from spectrum_trl.training.data import prepare
from spectrum_trl.training.evaluation import evaluate_run
from spectrum_trl.training.model import starting_model
from spectrum_trl.training.recipe import Recipe, read_recipe
from spectrum_trl.training.run_folder import begin_run, check_output_dir
from spectrum_trl.training.saving import save_run

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
    checkpoint = checkpoint_of(recipe)
    with _timed("data and model", out=out):
        tokenizer, family, mixture = prepare(recipe, show_progress=is_main)
        preview.show(
            mixture, tokenizer=tokenizer, console=out, samples=PREVIEW_SAMPLES, seed=recipe.data.mixture_seed
        )
        model = starting_model(recipe, tokenizer=tokenizer, family=family, out=out)
        if is_main:
            begin_run(recipe, mixture=mixture)
    with _timed("evaluation before training", out=out):
        evaluate_run(recipe, model, tokenizer, out=out, when="before")
    trainer = SFTTrainer(
        model=model,
        args=recipe.training,
        train_dataset=mixture.dataset,
        processing_class=tokenizer,
        peft_config=adapter_config(recipe, model=model),
    )
    if recipe.model.use_peft:
        train_in_single_precision(cast(PreTrainedModel, trainer.model))
    with _timed("training", out=out):
        trainer.train(resume_from_checkpoint=checkpoint)
    generation = generation_config(tokenizer)
    save_run(trainer, recipe=recipe, mixture=mixture, tokenizer=tokenizer, generation=generation)
    out.print(f"saved to {recipe.training.output_dir}", markup=False)
    with _timed("evaluation after training", out=out):
        evaluate_run(recipe, cast(PreTrainedModel, trainer.model), tokenizer, out=out, when="after")
    trainer.end()


@contextmanager
def _timed(phase: str, *, out: Console) -> Iterator[None]:
    started = time.monotonic()
    yield
    out.print(f"[bold]{phase}[/]: {time.monotonic() - started:.0f} s")
