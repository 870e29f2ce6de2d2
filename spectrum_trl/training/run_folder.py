"""The folder of a run: whether it is free, and the recipe and provenance in it."""

import importlib.metadata
import platform
import shutil
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.training.mixture import Mixture
from spectrum_trl.training.recipe import Recipe, write_recipe

RECIPE, PROVENANCE = "recipe.yaml", "provenance.json"
PACKAGES = ("spectrum-trl", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")


def check_output_dir(recipe: Recipe) -> None:
    """Check that the output folder is free, or meant to be continued or replaced.

    Args:
        recipe: Its ``output_dir``, ``overwrite`` and ``resume_from_checkpoint`` decide.

    Raises:
        UserError: If the folder holds another run or files that no run wrote.
    """
    if not recipe.training.output_dir:
        raise UserError(f"{recipe.path}: output_dir is missing; name a folder for the trained model")
    folder = Path(recipe.training.output_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output_dir {folder} is a file; name a folder")
    if not folder.is_dir() or not any(folder.iterdir()) or recipe.training.resume_from_checkpoint:
        return
    if not is_run(folder):
        raise UserError(
            f"output_dir {folder} holds files that are no run of spectrum-trl; name another folder"
        )
    if not recipe.run.overwrite:
        raise UserError(
            f"output_dir {folder} holds another run; name another, add `--resume_from_checkpoint last` "
            "to continue it, or `--overwrite true` to replace it"
        )


def is_run(folder: Path) -> bool:
    """Tell whether a folder was begun by a run of ours."""
    return (folder / RECIPE).is_file()


def begin_run(recipe: Recipe, *, mixture: Mixture) -> None:
    """Make the output folder, emptied if the recipe overwrites, and write recipe and provenance.

    Args:
        recipe: As parsed.
        mixture: Whose counts and hashes are recorded.
    """
    folder = Path(recipe.training.output_dir or "")
    if recipe.run.overwrite and not recipe.training.resume_from_checkpoint and folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {k: v for k, v in recipe.settings.items() if k not in ("overwrite", "resume_from_checkpoint")}
    write_recipe(settings, folder / RECIPE)
    write_json(_provenance(mixture), folder / PROVENANCE)


def _provenance(mixture: Mixture) -> dict[str, Any]:
    versions = {}
    for package in PACKAGES:
        versions[package] = importlib.metadata.version(package)
    return {
        "versions": {"python": platform.python_version(), **versions},
        "data": [count._asdict() for count in mixture.counts],
        "missing": mixture.missing,
    }
