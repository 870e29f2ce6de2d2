"""``spectrum-trl train``: start a recipe through ``accelerate launch``, as ``trl sft`` does."""

import subprocess
import sys
from typing import Annotated

import typer

from spectrum_trl.errors import EXIT_CODE

RecipeName = Annotated[
    str, typer.Argument(help="A recipe's file, or the name of a bundled one, such as `demo`.")
]


def train(context: typer.Context, recipe: RecipeName) -> None:
    """Train as a recipe says. Its fields follow as --field value; options of `accelerate launch` work too."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from spectrum_trl.recipe.command_line import HELP
    from spectrum_trl.recipe.read import find_recipe, show_help

    if {recipe, *context.args} & set(HELP):
        show_help()
    for_accelerate, for_recipe = split_words(context.args)
    words = [*for_accelerate, "--module", "spectrum_trl.training", str(find_recipe(recipe)), *for_recipe]
    try:
        launch_command(launch_command_parser().parse_args(words))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except ChildFailedError as error:
        codes = {failure.exitcode for failure in error.failures.values()}
        sys.exit(EXIT_CODE if EXIT_CODE in codes else 1)


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Separate the options of ``accelerate launch`` from the recipe's; a name that both know is the recipe's.

    Args:
        words: As on the command line.

    Returns:
        Words for ``accelerate launch``, and words for the recipe.
    """
    from accelerate.commands.launch import launch_command_parser

    from spectrum_trl.recipe.fields import known_fields

    known = {option for action in launch_command_parser()._actions for option in action.option_strings}
    parts: tuple[list[str], list[str]] = ([], [])
    chosen = parts[1]
    for word in words:
        if word.startswith("--"):
            option = word.split("=")[0]
            is_field = option[2:].replace("-", "_") in known_fields()
            chosen = parts[0] if option in known and not is_field else parts[1]
        chosen.append(word)
    return parts
