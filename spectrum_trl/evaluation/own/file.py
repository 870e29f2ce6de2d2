"""Find the YAML file of a user's own task: paths in it are relative to it, and lm-eval may not report it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.strict.yaml import read_yaml

# lm-eval 0.4.13 reports this as the source of a task that was given by the path of its file.
INLINE = "inline"


def own_file(config: Any, own: Any) -> str:
    """Return the path of the YAML file that a task was read from.

    Args:
        config: The task's configuration in lm-eval.
        own: Its key ``spectrum``.

    Raises:
        UserError: If neither lm-eval, nor the command line, nor the working directory reveals the file.
    """
    source = str((config.metadata or {}).get("config_source", ""))
    if source != INLINE:
        return source
    for file in _candidates():
        try:
            found = read_yaml(file).values
        except UserError:
            continue
        if (found.get("task"), found.get("spectrum")) == (config.task, own):
            return str(file)
    raise UserError(
        f"{config.task}: lm-eval does not report the path of its YAML file, which its data are beside: run "
        f"the command in that folder, or with `--include_path FOLDER --tasks {config.task}`"
    )


def _candidates() -> Iterator[Path]:
    """Yield the YAML files on the command line, then those in the working directory."""
    for argument in sys.argv[1:]:
        for word in argument.rpartition("=")[2].split(","):
            if word.endswith((".yaml", ".yml")) and Path(word).is_file():
                yield Path(word)
    yield from sorted(Path.cwd().glob("*.yaml"))
