"""Train a model from a recipe: parse, load, train, save."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from accelerate import PartialState
from rich.console import Console
from transformers import PreTrainedModel

from spectrum_trl.console import console
from spectrum_trl.data import preview
from spectrum_trl.data.prepare import prepare
from spectrum_trl.progress import line_each_minute
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import find_checkpoint
from spectrum_trl.runs.output_dir import reserve_output_dir
from spectrum_trl.runs.resume import check_data, check_settings, print_passed_over
from spectrum_trl.runs.run_folder import RunFolder, explain_interrupt
from spectrum_trl.training import held_out, strategy
from spectrum_trl.training.checks import check_all, check_checkpoint
from spectrum_trl.training.demo_evaluation import evaluate_run, show_results
from spectrum_trl.training.model import starting_model
from spectrum_trl.training.saving import save_run, saved_dtype
from spectrum_trl.training.trainer import make_trainer


def train(recipe: Recipe) -> None:
    """Train a model from a recipe, save it, and evaluate it if the recipe sets ``evaluate``.

    Args:
        recipe: The parsed recipe.

    Raises:
        UserError: For mistakes that are found before the first step, leaving no folder behind, or if training
            diverges.
    """
    # Not from the variable RANK, which a shell may have left behind.
    is_main = PartialState().is_main_process
    out = console(quiet=not is_main)
    check_all(recipe)
    strategy.check_processes(recipe)
    folder = RunFolder(recipe, is_main=is_main)
    with reserve_output_dir(recipe, is_main=is_main), explain_interrupt(folder):
        checkpoint = find_checkpoint(recipe)
        changes = check_settings(recipe, checkpoint)
        print_passed_over(checkpoint, out=out)

        with _timed("data and model", out=out):
            tokenizer, family, mixture = prepare(recipe, show_progress=is_main)
            changes |= check_data(recipe, checkpoint, mixture)
            held_out.check_metric(recipe, mixture)
            preview.show(mixture, tokenizer=tokenizer, console=out, seed=recipe.data.mixture_seed)
            strategy.load_on_first_process_only(recipe)
            model = starting_model(recipe, tokenizer=tokenizer, family=family, out=out)
        evaluate_run(recipe, model, tokenizer, folder=folder, out=out, trained=False)

        trainer = make_trainer(recipe, model=model, tokenizer=tokenizer, mixture=mixture, folder=folder)
        check_checkpoint(checkpoint.path, model=trainer.model)
        strategy.describe(trainer, mixture, out=out)
        dtype = saved_dtype(recipe, cast(PreTrainedModel, trainer.model))
        out.print(f"[bold]weights will be saved in[/]: {str(dtype).removeprefix('torch.')}")
        folder.prepare(mixture, checkpoint=checkpoint, changes=changes)
        # Before the first step only: the log of a resumed run has it.
        trainer.args.eval_on_start &= checkpoint.path is None
        with _timed("training", out=out):
            trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint.path else None)
        folder.begin()

        save_run(trainer, folder=folder, recipe=recipe, mixture=mixture, tokenizer=tokenizer)
        out.print(f"saved to {folder.path}", markup=False)
        held_out.report(trainer, recipe=recipe, folder=folder, out=out)
        trained = cast(PreTrainedModel, trainer.model)
        evaluate_run(recipe, trained, tokenizer, folder=folder, out=out, trained=True)
        show_results(recipe, folder=folder, out=out)
        trainer.end()


@contextmanager
def _timed(phase: str, *, out: Console) -> Iterator[None]:
    started = time.monotonic()
    with line_each_minute(phase, out=out):
        yield
    out.print(f"[bold]{phase}[/]: {time.monotonic() - started:.0f} s")
