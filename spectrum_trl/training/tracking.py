"""Additions to transformers' tracking in Weights & Biases: recipe, held-out curves and best step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.resume import settings_of


def login_problem() -> str | None:
    """Return why Weights & Biases would take nothing, or None; on a terminal it asks for the key."""
    import wandb

    try:
        wandb.login()
    # Whatever is wrong with its settings, pydantic says.
    except (wandb.Error, ValueError) as error:
        return f"wandb: {' '.join(str(error).split())} Or set WANDB_MODE=offline"
    return None


def callbacks(recipe: Recipe) -> list[TrainerCallback]:
    """Return the callback that adds a recipe's settings, if it reports to Weights & Biases."""
    return [_Settings(recipe)] if "wandb" in (recipe.training.report_to or ()) else []


class _Settings(TrainerCallback):
    """Transformers logs its own arguments, but not those of data and run."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Add the settings; transformers' callback, which comes first, has started the run."""
        import wandb

        if wandb.run:
            wandb.run.config.update({"recipe": settings_of(self._recipe)}, allow_val_change=True)


def add_curves(recipe: Recipe, picture: Path, *, best: Mapping[str, Any]) -> None:
    """Add the picture of the losses and the best step to a run that is still open."""
    if "wandb" not in (recipe.training.report_to or ()):
        return
    import wandb

    if wandb.run:
        wandb.run.log({"held-out loss": wandb.Image(str(picture))})
        wandb.run.summary.update({f"best/{name}": value for name, value in best.items()})
