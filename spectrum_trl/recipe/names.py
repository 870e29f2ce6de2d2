"""The names of a recipe's fields, known before the libraries that define most of them are imported.

Importing torch, transformers and trl takes many seconds, in which a misspelt name would wait for its message.
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

# Where the libraries define fields, and accelerate its options.
FIELDS = (
    ("trl", "trainer/sft_config.py"),
    ("trl", "trainer/base_config.py"),
    ("trl", "trainer/model_config.py"),
    ("transformers", "training_args.py"),
)
LAUNCHER = (("accelerate", "commands/launch.py"),)
# Names of older versions and of other tools, whose nearest in spelling would be another field.
RENAMED = {
    "torch_dtype": "dtype",
    "model_id": "model_name_or_path",
    "max_seq_length": "max_length",
    "evaluation_strategy": "eval_strategy",
    "group_by_length": "train_sampling_strategy: group_by_length",
    "length_grouped_sampling": "train_sampling_strategy: group_by_length",
    "warmup_ratio": "warmup_steps, which takes a share below 1, too",
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
# Characters of a name in a message.
LONGEST_NAME = 60


def find_recipe(path: str | Path) -> Path:
    """Return the file of a recipe given by path, or by name if it comes with the package."""
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
    raise UserError(f"no recipe {path}.{nearest(file.stem, names)} There are: {', '.join(names)}.")


@cache
def field_names() -> frozenset[str]:
    """Return the names of all fields, ours and the libraries'."""
    ours = {item.name for section in (DataArguments, RunArguments) for item in fields(section)}
    return frozenset(ours.union(*(re.findall(r"^    (\w+): ", text, re.M) for text in _texts(FIELDS))))


def hint(name: str) -> str:
    """Return what an unknown field may have been meant for, with a leading space, or nothing."""
    if name in RENAMED:
        return f" It is now {RENAMED[name]}."
    return nearest(name, sorted(field_names()))


def unknown_names(file: Path, said: RecipeFile, words: Sequence[str], *, launcher: bool) -> Iterator[str]:
    """Yield what is wrong with names that no field has.

    Args:
        file: The recipe.
        said: What it says.
        words: Of the command line, without the recipe.
        launcher: Whether options of ``accelerate launch`` may be among the words.
    """
    known = field_names() | {"help"}
    for name in said.settings:
        if name not in known:
            yield unknown_key(f"{file}, line {said.lines[name,]}", name)
    known |= _words_of(LAUNCHER) if launcher else frozenset()
    for word in words:
        name = word[2:].partition("=")[0].replace("-", "_")
        if word.startswith("--") and name and name not in known:
            yield unknown_option(name)


def unknown_key(where: str, name: Any) -> str:
    """Return the message for a key of a recipe that is no field."""
    return f"{where}: unknown key {str(name)[:LONGEST_NAME]!r}.{hint(name)} Correct or remove it."


def unknown_option(name: str) -> str:
    """Return the message for an option of the command line that is no field."""
    return f"command line: unknown option --{name[:LONGEST_NAME]}.{hint(name)} Correct or remove it."


def task_names(said: RecipeFile, words: Sequence[str]) -> list[str]:
    """Return the tasks that a recipe names, or in their place those of the command line.

    What is no plain list or mapping of names is left to those who read all of the recipe.
    """
    values = [word.removeprefix("--tasks=") for word in words if word.startswith("--tasks=")]
    if "--tasks" in words:
        behind = words[words.index("--tasks") + 1 :]
        values += itertools.takewhile(lambda word: not word.startswith("--"), behind)
    named = values or said.settings.get("tasks") or []
    named = [named] if isinstance(named, str) else [name for name in named if isinstance(name, str)]
    if any(name.lstrip().startswith(("{", "[")) for name in named):
        return []
    return [part.strip() for name in named for part in name.split(",") if part.strip()]


@cache
def _words_of(sources: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return frozenset(word for text in _texts(sources) for word in re.findall(r"\w+", text))


def _texts(sources: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Yield the source of modules of libraries, without importing these."""
    for library, file in sources:
        found = find_spec(library)
        if found and found.origin:
            yield Path(found.origin).parent.joinpath(file).read_text("utf-8")
