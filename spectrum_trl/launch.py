"""The entry point of recipe files, ``launch``, and of ``python -m spectrum_trl.launch RECIPE``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from spectrum_trl.console import quiet_libraries
from spectrum_trl.errors import refuse, user_errors
from spectrum_trl.known_tasks import unknown_tasks
from spectrum_trl.recipe.recipe_file import find_recipe, read_recipe_file, task_names, unknown_names


def launch(recipe_file: str) -> None:
    """Run the recipe that Python was started with, under ``accelerate launch``, torchrun or directly.

    ``recipe_file`` is the recipe's ``__file__``; command-line options override its fields.
    """
    # A worker spawned by multiprocessing imports its main program, here the recipe, under this name; a recipe
    # has no room for ``if __name__ == "__main__"`` in its one line.
    if sys._getframe(1).f_globals["__name__"] == "__mp_main__":
        return
    quiet_libraries()
    with user_errors():
        check_names(recipe_file, sys.argv[1:])
        # Imported only now, because the libraries take many seconds to import.
        from spectrum_trl.progress import quiet_when_piped
        from spectrum_trl.recipe.read import read_recipe
        from spectrum_trl.training.train import train

        quiet_when_piped()
        train(read_recipe(recipe_file, overrides=sys.argv[1:]))


def check_names(recipe: str | Path, words: Sequence[str], *, launcher: bool = False) -> None:
    """Check the names of recipe, fields and tasks before the libraries are imported for further checks.

    Args:
        recipe: The file, or the name of a bundled recipe.
        words: Command-line arguments, without the recipe.
        launcher: Whether the arguments may include options of ``accelerate launch``.

    Raises:
        UserError: With every unknown name.
    """
    file = find_recipe(recipe)
    parsed = read_recipe_file(file)
    problems = [*unknown_names(file, parsed, words, launcher=launcher)]
    for key in ("tasks", "eval_tasks"):
        problems += unknown_tasks(task_names(parsed, words, key=key), key=key)
    refuse(problems)


if __name__ == "__main__":
    launch(sys.argv.pop(1))
