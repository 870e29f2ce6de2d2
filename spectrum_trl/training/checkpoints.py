"""Find the checkpoint that a run goes on from."""

from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint

from spectrum_trl.errors import UserError
from spectrum_trl.training.recipe import Recipe


def checkpoint_of(recipe: Recipe) -> str | None:
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
