"""``spectrum-trl train``: run a recipe through ``accelerate launch``, as ``trl sft`` does."""

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from spectrum_trl.errors import EXIT_CODE, UserError

RecipeName = Annotated[
    str, typer.Argument(help="A recipe file, or the name of a bundled recipe, such as `demo`.")
]
# Shells report a program that a signal ended as this plus the signal's number.
SIGNALLED = 128


def train(context: typer.Context, recipe: RecipeName) -> None:
    """Train a recipe. Override its fields with --field value; options of `accelerate launch` work too."""
    from spectrum_trl.launch import check_names
    from spectrum_trl.recipe.recipe_file import HELP, find_recipe

    asks_for_help = bool({recipe, *context.args} & set(HELP))
    if not asks_for_help:
        if recipe.startswith("-"):
            raise UserError(f"the recipe comes first: spectrum-trl train RECIPE {recipe} …")
        check_names(recipe, context.args, launcher=True)

    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from spectrum_trl.recipe.read import show_help

    if asks_for_help:
        show_help()
    for_accelerate, for_recipe = split_words(context.args)
    words = [*for_accelerate, "--module", "spectrum_trl.launch", str(find_recipe(recipe)), *for_recipe]
    arguments = launch_command_parser().parse_args(words)
    if arguments.config_file and not Path(arguments.config_file).is_file():
        raise UserError(f"--config_file: {arguments.config_file} does not exist; name an accelerate config")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _pass_on)
    try:
        launch_command(arguments)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode if error.returncode > 0 else SIGNALLED - error.returncode)
    except SignalException as error:
        sys.exit(SIGNALLED + error.sigval)
    except ChildFailedError as error:
        codes = {failure.exitcode for failure in error.failures.values()}
        known = (EXIT_CODE, *(SIGNALLED + number for number in (signal.SIGTERM, signal.SIGUSR1)))
        sys.exit(next((code for code in known if code in codes), 1))


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Separate the options of ``accelerate launch`` from the recipe's; names known to both are the recipe's.

    Args:
        words: The arguments as given on the command line.

    Returns:
        Words for ``accelerate launch``, and words for the recipe.
    """
    from accelerate.commands.launch import launch_command_parser

    from spectrum_trl.recipe.recipe_file import field_names

    known = {option for action in launch_command_parser()._actions for option in action.option_strings}
    parts: tuple[list[str], list[str]] = ([], [])
    chosen = parts[1]
    for word in words:
        if word.startswith("--"):
            option = word.split("=")[0]
            is_field = option[2:].replace("-", "_") in field_names()
            chosen = parts[0] if option in known and not is_field else parts[1]
        chosen.append(word)
    return parts


def _pass_on(number: int, frame: FrameType | None) -> None:
    """Forward a signal to the training process, which accelerate starts and would otherwise leave running."""
    import psutil

    children = psutil.Process().children()
    if not children:
        sys.exit(SIGNALLED + number)
    for child in children:
        child.send_signal(number)
