"""Find the YAML file of a user's own task: paths in it are beside it, and lm-eval may not say where it is."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.suite.own import Loader

# What lm-eval 0.4.13 says of a task that it was given by the path of its file.
INLINE = "inline"


def own_file(config: Any, own: Any) -> str:
    """Return the path of the YAML file that a task was read from.

    Args:
        config: Of the task, as lm-eval keeps it.
        own: Its key ``spectrum``.

    Raises:
        UserError: If lm-eval does not say, and no file named on the command line or in this folder is it.
    """
    source = str((config.metadata or {}).get("config_source", ""))
    if source != INLINE:
        return source
    for file in _candidates():
        try:
            found = yaml.load(file.read_bytes(), Loader=Loader)
        except (OSError, yaml.YAMLError, ValueError, RecursionError):
            continue
        if isinstance(found, dict) and (found.get("task"), found.get("spectrum")) == (config.task, own):
            return str(file)
    raise UserError(
        f"{config.task}: lm-eval does not say where its YAML file is, beside which its data are: run the "
        f"command in that folder, or with `--include_path FOLDER --tasks {config.task}`"
    )


def _candidates() -> Iterator[Path]:
    """Yield the YAML files that the command line names, then those of this folder."""
    for argument in sys.argv[1:]:
        for word in argument.rpartition("=")[2].split(","):
            if word.endswith((".yaml", ".yml")) and Path(word).is_file():
                yield Path(word)
    yield from sorted(Path.cwd().glob("*.yaml"))
