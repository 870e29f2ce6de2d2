"""Find and load the YAML files of a user's own tasks; errors are reported before lm-eval loads them."""

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.paths import bundled
from spectrum_trl.strict.yaml import read_yaml
from spectrum_trl.suite.own.table import name_problems

# Any of these keys makes a file a task of lm-eval; ours have a class.
MADE_BY = ("class", "include", "dataset_path", "custom_dataset", "group", "task_list")
CLASSES = "diversity.Diversity, distributional.Distributional or icl.Icl"
# lm-eval 0.4.13 reports this as the source of a task that was given by the path of its file.
INLINE = "inline"


def check_folders(folders: Sequence[Path]) -> None:
    """Check every YAML file in folders of further tasks; lm-eval silently skips broken ones.

    Args:
        folders: As the user named them.

    Raises:
        UserError: With all problems at once.
    """
    problems = [f"{folder} is not a folder of tasks" for folder in folders if not folder.is_dir()]
    for folder in folders:
        for file in sorted(folder.rglob("*.yaml")):
            problems += _problems(file)
    refuse(f"--include-path: {problem}" for problem in problems)


def load(names: Sequence[str], *, manager: TaskManager) -> list[Task]:
    """Load tasks.

    Args:
        names: Names of tasks, or files.
        manager: lm-eval's index of the names.

    Raises:
        UserError: If a file of the user's is not a task.
    """
    files = [Path(name) for name in names if Path(name).suffix == ".yaml"]
    refuse(problem for file in files for problem in _problems(file))
    return [task for name in names for task in _load(name, manager)]


def _load(name: str, manager: TaskManager) -> list[Task]:
    entry = manager.task_index.get(name)
    file = Path(name) if entry is None else entry.yaml_path
    try:
        return list(manager.load([name])["tasks"].values())
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # A user's file may name any code and any dataset.
        if file is None or Path(file).is_relative_to(bundled("tasks")):
            raise
        raise UserError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error


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


@cache
def _stock_names() -> frozenset[str]:
    return frozenset(file.stem for file in bundled("tasks").rglob("*.yaml"))


def _problems(file: Path) -> Iterator[str]:
    try:
        found = read_yaml(file)
    except UserError as error:
        yield from error.problems
        return
    yield from found.problems
    keys = found.values
    if isinstance(name := keys.get("task"), str):
        yield from (f"{file}: {problem}" for problem in name_problems(name))
        if name in _stock_names() and not file.resolve().is_relative_to(bundled("tasks").resolve()):
            yield f"{file}: task: {name} is the name of a task of this package; give another"
    if "task" in keys and not keys.keys() & set(MADE_BY):
        yield (
            f"{file}: the key class is missing; give `class: !function spectrum_trl.evaluation.` with one of "
            f"{CLASSES}"
        )


def _candidates() -> Iterator[Path]:
    """Yield the YAML files on the command line, then those in the working directory."""
    for argument in sys.argv[1:]:
        for word in argument.rpartition("=")[2].split(","):
            if word.endswith((".yaml", ".yml")) and Path(word).is_file():
                yield Path(word)
    yield from sorted(Path.cwd().glob("*.yaml"))
