"""Measure the model before and after training, where the recipe asks for it."""

import time

from accelerate import PartialState
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.run_folder import RunFolder
from spectrum_trl.tiny import measure
from spectrum_trl.tiny.report import PICTURE, report_run


def evaluate_run(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    folder: RunFolder,
    out: Console,
    when: str,
) -> None:
    """Measure the model on the tiny world's held-out distributions; print the table after training.

    Args:
        recipe: Whose ``evaluate`` decides.
        model: As it is now.
        tokenizer: With the Spectrum template.
        folder: Of the run, which keeps the result.
        out: Where to print.
        when: ``before`` or ``after`` training.
    """
    if recipe.run.evaluate == "none" or not PartialState().is_main_process:
        return
    started = time.monotonic()
    folder.add_json(f"{when}.json", measure.as_json(measure.evaluate(model, tokenizer, show_progress=True)))
    out.print(f"[bold]evaluation {when} training[/]: {time.monotonic() - started:.0f} s")
    if when == "after":
        report_run(folder.path, out=out)
        folder.list_files([folder.path / PICTURE])
