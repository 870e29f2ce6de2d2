"""Measure the model before and after training, where the recipe asks for it."""

import os
from pathlib import Path

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.tiny import measure
from spectrum_trl.tiny.report import report_run
from spectrum_trl.training.recipe import Recipe


def evaluate_run(
    recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, out: Console, when: str
) -> None:
    """Measure the model on the tiny world's held-out distributions."""
    if recipe.run.evaluate == "none" or int(os.environ.get("RANK", "0")):
        return
    folder = Path(str(recipe.training.output_dir))
    measure.save(measure.evaluate(model, tokenizer, show_progress=True), folder / f"{when}.json")
    if when == "after":
        report_run(folder, out=out)
