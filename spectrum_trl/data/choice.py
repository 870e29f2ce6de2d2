"""Resolve the names of a recipe's tasks: those to train on, and those to evaluate on while training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.known_tasks import EXCLUDE, matching, unknown_tasks
from spectrum_trl.known_tasks import tasks as all_tasks
from spectrum_trl.recipe.arguments import DataArguments, TaskOptions
from spectrum_trl.suite.own.table import is_own, read_own
from spectrum_trl.suite.sequences.declared import Declared
from spectrum_trl.suite.task import Split, Task


class Choice(NamedTuple):
    """A task to train on, with its cap and weight."""

    task: Task
    options: TaskOptions


def select_tasks(data: DataArguments) -> dict[str, Choice]:
    """Resolve ``tasks``, names, globs and the user's YAML files, by name in the order of the recipe.

    Raises:
        UserError: With every unknown name and unmatched glob at once.
    """
    return _select(data, key="tasks")


def _select(data: DataArguments, *, key: Literal["tasks", "eval_tasks"]) -> dict[str, Choice]:
    evaluated = key == "eval_tasks"
    patterns, most = data.tasks, data.max_sequences
    splits: list[Split] = data.split
    if evaluated:
        patterns, most, splits = data.eval_tasks, data.eval_max_sequences, ["test"]
    catalogue = all_tasks()
    chosen: dict[str, Choice] = {}
    # The user's YAML file that declares each task, by task name.
    files: dict[str, str] = {}
    problems: list[str] = []
    for pattern, options in patterns.items():
        if pattern.startswith(EXCLUDE):
            problems += _leave_out(pattern, options, chosen=chosen, key=key)
            continue
        if options.max_sequences is None:
            options = options.model_copy(update={"max_sequences": most})
        if is_own(pattern):
            try:
                own = read_own(Path(pattern), split="test" if evaluated else "train")
                if own.name in chosen:
                    problems.append(_twice(own.name, files.get(own.name, own.name), pattern, key=key))
                chosen[own.name], files[own.name] = Choice(own, options), pattern
            except UserError as error:
                problems += error.problems
            continue
        # A task named in full is evaluated whatever its split.
        named = {pattern} if evaluated else set()
        names = [name for name in matching(pattern) if catalogue[name].split in splits or name in named]
        if not names and (outside := sorted({catalogue[name].split for name in matching(pattern)})):
            fix = "name its tasks one by one" if evaluated else "add it to `split` to train on it"
            problems.append(f"{key}: {pattern!r} is in split {', '.join(outside)}; {fix}")
        problems += unknown_tasks([pattern], key=key)
        problems += [_twice(name, files[name], pattern, key=key) for name in names if name in files]
        chosen.update({name: Choice(catalogue[name], options) for name in names})
    refuse(problems)
    return chosen


def _leave_out(pattern: str, options: TaskOptions, *, chosen: dict[str, Choice], key: str) -> Iterator[str]:
    """Remove what matches from the tasks chosen so far, and yield what is wrong with that."""
    name = pattern.removeprefix(EXCLUDE)
    names = [each for each in (name, *matching(name)) if each in chosen]
    for each in names:
        chosen.pop(each, None)
    if options != TaskOptions():
        yield f"{key}: {pattern!r} leaves tasks out, so it takes no options"
    if not names and (is_own(name) or matching(name)):
        yield f"{key}: {pattern!r} leaves nothing out, because nothing before it chooses such a task"
    yield from unknown_tasks([pattern], key=key)


def select_eval_tasks(data: DataArguments) -> dict[str, Choice]:
    """Resolve ``eval_tasks`` to tasks that are not trained on: globs among the test tasks, names among all.

    Raises:
        UserError: With every unknown name, unmatched glob and trained task at once.
    """
    if not data.eval_tasks:
        return {}
    refuse(
        f"eval_tasks: {name}: weight has no effect on a loss; remove it"
        for name, options in data.eval_tasks.items()
        if options.weight != TaskOptions().weight
    )
    chosen, trained = _select(data, key="eval_tasks"), select_tasks(data)
    refuse(
        f"eval_tasks: {name} is trained on, too; remove it, and hold out some of its individuals with "
        "`held_out_share`"
        for name, (task, _) in chosen.items()
        if name in trained and not (isinstance(task.build, Declared) and task.build.test_share)
    )
    return chosen


def _twice(name: str, first: str, second: str, *, key: str) -> str:
    return f"{key}: {first} and {second} both declare a task {name}: change the key `task` in one of them"
