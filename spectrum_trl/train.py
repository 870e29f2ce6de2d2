"""What recipe files call: ``launch``; ``python -m spectrum_trl.train RECIPE`` calls it too."""

import sys
from collections.abc import Sequence
from pathlib import Path

from spectrum_trl.catalogue import unknown_tasks
from spectrum_trl.console import quiet_libraries
from spectrum_trl.errors import UserError, user_errors
from spectrum_trl.recipe.names import find_recipe, task_names, unknown_names
from spectrum_trl.recipe.recipe_file import read_recipe_file


def launch(recipe_file: str) -> None:
    """Run a recipe file that Python was started with, under ``accelerate launch``, torchrun or alone.

    Args:
        recipe_file: The recipe's ``__file__``; the command line's words override its fields.
    """
    # A worker that multiprocessing has spawned imports the program it belongs to under this name: the recipe,
    # which cannot say ``if __name__ == "__main__"`` in its one line.
    if sys._getframe(1).f_globals["__name__"] == "__mp_main__":
        return
    quiet_libraries()
    with user_errors():
        check_names(recipe_file, sys.argv[1:])
        # Only now, because importing the libraries takes many seconds.
        from spectrum_trl.progress import quiet_when_piped
        from spectrum_trl.recipe.read import read_recipe
        from spectrum_trl.training.train import train

        quiet_when_piped()
        train(read_recipe(recipe_file, overrides=sys.argv[1:]))


def check_names(recipe: str | Path, words: Sequence[str], *, launcher: bool = False) -> None:
    """Check the names of recipe, fields and tasks, before what else is wrong can be known.

    Args:
        recipe: The file, or the name of a recipe that comes with the package.
        words: Of the command line, without the recipe.
        launcher: Whether options of ``accelerate launch`` may be among the words.

    Raises:
        UserError: With every name that does not exist.
    """
    file = find_recipe(recipe)
    said = read_recipe_file(file)
    problems = [*unknown_names(file, said, words, launcher=launcher), *unknown_tasks(task_names(said, words))]
    if problems:
        raise UserError(*problems)


if __name__ == "__main__":
    launch(sys.argv.pop(1))
