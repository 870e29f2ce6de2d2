"""The names of a recipe's fields, read without importing the libraries that define most of them.

Importing torch, transformers and trl takes many seconds, which would delay the message for a misspelt name.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.paths import bundled
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.recipe_file import RecipeFile

# Files in which the libraries define fields, and accelerate its options.
FIELDS = (
    ("trl", "trainer/sft_config.py"),
    ("trl", "trainer/base_config.py"),
    ("trl", "trainer/model_config.py"),
    ("transformers", "training_args.py"),
)
LAUNCHER = (("accelerate", "commands/launch.py"),)
# Names from older versions and other tools, for which the nearest spelling would suggest the wrong field.
RENAMED = {
    "torch_dtype": "dtype",
    "model_id": "model_name_or_path",
    "max_seq_length": "max_length",
    "evaluation_strategy": "eval_strategy",
    "group_by_length": "train_sampling_strategy: group_by_length",
    "length_grouped_sampling": "train_sampling_strategy: group_by_length",
    "warmup_ratio": "warmup_steps, which also accepts a fraction below 1",
    "no_cuda": "use_cpu",
    "use_liger": "use_liger_kernel",
    "use_flash_attention_2": "attn_implementation: flash_attention_2",
    "logging_dir": "the environment variable TENSORBOARD_LOGGING_DIR",
    "dataset_name": "tasks or train_files",
    "lora_rank": "lora_r",
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "lr": "learning_rate",
    "dataset": "tasks or train_files",
    "model": "model_name_or_path",
    "output": "output_dir",
}
HELP = ("-h", "--help")
# Length limit for a name in a message, in characters.
LONGEST_NAME = 60


def find_recipe(path: str | Path) -> Path:
    """Return the file of a recipe, given its path or the name of a bundled recipe.

    Raises:
        UserError: If there is no such recipe.
    """
    file = Path(path)
    by_name = bundled("recipes") / f"{file.name.removesuffix('.yaml')}.yaml"
    try:
        if file.is_file():
            return file
        if file.parent == Path(".") and by_name.is_file():
            return by_name
    except OSError as error:
        raise UserError(f"no recipe {path}: {error.strerror}") from error
    names = sorted(recipe.stem for recipe in bundled("recipes").glob("*.yaml"))
    raise UserError(f"no recipe {path}.{nearest(file.stem, names)} Available: {', '.join(names)}.")


@cache
def field_names() -> frozenset[str]:
    """Return the names of all fields, ours and the libraries'."""
    ours = {item.name for section in (DataArguments, RunArguments) for item in fields(section)}
    return frozenset(ours.union(*(re.findall(r"^    (\w+): ", text, re.M) for text in _texts(FIELDS))))


def hint(name: str) -> str:
    """Return a suggestion for an unknown field, with a leading space, or an empty string."""
    if name in RENAMED:
        return f" Use {RENAMED[name]}."
    return nearest(name, sorted(field_names()))


def unknown_names(file: Path, parsed: RecipeFile, words: Sequence[str], *, launcher: bool) -> Iterator[str]:
    """Yield a message for each unknown key and option.

    Args:
        file: The recipe.
        parsed: Its contents.
        words: Command-line arguments, without the recipe.
        launcher: Whether the arguments may include options of ``accelerate launch``.
    """
    known = field_names() | {"help"}
    for name in parsed.settings:
        if name not in known:
            yield unknown_key(f"{file}, line {parsed.lines[name,]}", name)
    known |= _words_of(LAUNCHER) if launcher else frozenset()
    for word in words:
        name = word[2:].partition("=")[0].replace("-", "_")
        if word.startswith("--") and name and name not in known:
            yield unknown_option(name)


def unknown_key(where: str, name: Any) -> str:
    """Return the message for a recipe key that is not a field."""
    return f"{where}: unknown key {str(name)[:LONGEST_NAME]!r}.{hint(name)} Correct or remove it."


def unknown_option(name: str) -> str:
    """Return the message for a command-line option that is not a field."""
    return f"command line: unknown option --{name[:LONGEST_NAME]}.{hint(name)} Correct or remove it."


def task_names(parsed: RecipeFile, words: Sequence[str]) -> list[str]:
    """Return the tasks named on the command line or, if there are none, in the recipe.

    Anything but a plain list or mapping of names is ignored here and checked when the recipe is read.
    """
    values = [word.removeprefix("--tasks=") for word in words if word.startswith("--tasks=")]
    if "--tasks" in words:
        behind = words[words.index("--tasks") + 1 :]
        values += itertools.takewhile(lambda word: not word.startswith("--"), behind)
    named = values or parsed.settings.get("tasks") or []
    named = [named] if isinstance(named, str) else [name for name in named if isinstance(name, str)]
    if any(name.lstrip().startswith(("{", "[")) for name in named):
        return []
    return [part.strip() for name in named for part in name.split(",") if part.strip()]


@cache
def _words_of(sources: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return frozenset(word for text in _texts(sources) for word in re.findall(r"\w+", text))


def _texts(sources: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Yield the source code of library modules without importing them."""
    for library, file in sources:
        found = find_spec(library)
        if found and found.origin:
            yield Path(found.origin).parent.joinpath(file).read_text("utf-8")
