"""Jobs that train a recipe, and whether a run in the grid's folder has already finished them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.grid.evaluations import Found
from spectrum_trl.grid.job import Job, differing, label_of, made, name_of
from spectrum_trl.grid.matrix import Combination
from spectrum_trl.launch import check_names
from spectrum_trl.recipe.recipe_file import SECRETS, field_names, find_recipe, read_recipe_file

MODEL = "model"


def keys() -> list[str]:
    """Return the keys that a matrix can have."""
    return ["recipe", *sorted(field_names() - {"output_dir"})]


def jobs(every: Sequence[Combination], *, output: Path, options: Sequence[str]) -> list[Job]:
    """Return the job of each combination.

    Args:
        every: The combinations: a recipe, and fields to override.
        output: Folder of the jobs.
        options: Options of ``accelerate launch``.

    Raises:
        UserError: With every wrong name and value.
    """

    def check(one: Combination) -> None:
        if not isinstance(one.get("recipe"), str):
            raise UserError("recipe: name a recipe, such as full_ft, or its file")
        check_names(one["recipe"], [*options, *_overrides(one)], launcher=True)

    made(every, check)
    # Imports trl, which takes seconds: names are checked first.
    from spectrum_trl.recipe.fields import plain
    from spectrum_trl.recipe.read import read_settings

    shown = differing(every)

    def job(one: Combination) -> Job:
        settings = read_settings(one["recipe"], overrides=_overrides(one)).values
        wanted = _of_the_run({name: plain(value) for name, value in settings.items()})
        name = name_of(one, shown, identity=wanted)
        folder = output / name
        words = ("accelerate", "launch", *options, _shown(find_recipe(one["recipe"])), *_overrides(one))
        # Begun or interrupted, the same command goes on.
        words = (*words, "--output_dir", str(folder / MODEL), "--resume_from_checkpoint", "auto")
        return Job(name, label_of(one, shown) or name, words, folder, folder / MODEL, wanted)

    return made(every, job)


def _shown(recipe: Path) -> str:
    """Return a recipe's path, relative if it lies below the current folder."""
    here = Path.cwd()
    return str(recipe.relative_to(here) if recipe.is_absolute() and here in recipe.parents else recipe)


def _overrides(one: Combination) -> list[str]:
    words = []
    for name, value in one.items():
        if name != "recipe":
            text = value if isinstance(value, str) else json.dumps(value)
            words += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return words


def _of_the_run(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a run saves of its settings, but its folder."""
    from spectrum_trl.runs.run_folder import STARTS

    left_out = ("output_dir", *STARTS, *SECRETS)
    return {name: value for name, value in sorted(settings.items()) if name not in left_out}


def finished(every: Sequence[Job], *, output: Path) -> dict[str, Found]:
    """Return the jobs whose run in a folder has saved its model since its last start, by name."""
    from spectrum_trl.runs.run_folder import CONFIGS, HISTORY, RECIPE, STAGED

    found: dict[str, Found] = {}
    for file in sorted(output.glob(f"*/*/{RECIPE}")):
        run = file.parent
        models = [run / config for config in CONFIGS if (run / config).is_file()]
        if not models or (run / STAGED).exists() or not (run / HISTORY).is_file():
            continue
        saved = models[0].stat().st_mtime
        if saved < (run / HISTORY).stat().st_mtime:
            continue
        try:
            settings = _of_the_run(read_recipe_file(file).settings)
        except UserError:
            continue
        found |= {job.name: Found(run, saved) for job in every if job.wanted == settings}
    return found
