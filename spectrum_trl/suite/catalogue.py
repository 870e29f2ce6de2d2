"""All tasks of the Suite, collected from the packages of synthetic tasks and sources."""

import fnmatch
import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from spectrum_trl.errors import nearest, refuse
from spectrum_trl.suite import sources, synthetic
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Task


def tasks_of(packages: Iterable[ModuleType]) -> dict[str, Any]:
    """Return the ``TASKS`` of all modules in the packages, by name, in alphabetical order."""
    found: dict[str, Any] = {}
    for package in packages:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for task in getattr(importlib.import_module(module.name), "TASKS", ()):
                if task.name in found:
                    raise ValueError(f"two tasks are named {task.name!r}")
                found[task.name] = task
    return dict(sorted(found.items()))


@cache
def suite_tasks() -> dict[str, Task]:
    """Return all tasks of the Suite by name."""
    return tasks_of((synthetic, sources))


def suite_sources() -> dict[str, Source]:
    """Return all sources of real data by name."""
    found = {task.source.name: task.source for task in suite_tasks().values() if not task.synthetic}
    return dict(sorted(found.items()))


def chosen_tasks(names: Sequence[str] | None) -> list[Task]:
    """Return the tasks that names and globs match; without names, all of them.

    Raises:
        UserError: With every name that matches none.
    """
    every = suite_tasks()
    return [every[name] for name in _matched(names or ("*",), every, kind="task")]


def chosen_sources(names: Sequence[str] | None) -> list[Source]:
    """Return the sources that names and globs of sources or tasks match.

    Without names, those that can be fetched without consent.

    Raises:
        UserError: With every name that matches none.
    """
    every = suite_sources()
    if not names:
        return [source for source in every.values() if source.access == "fetch"]
    of_task = {name: task.source for name, task in suite_tasks().items()}
    known = {**of_task, **every}
    return list(dict.fromkeys(known[name] for name in _matched(names, known, kind="source")))


def _matched(names: Sequence[str], known: Mapping[str, object], *, kind: str) -> dict[str, None]:
    """Return the known names that names and globs match, without duplicates."""
    found = {name: fnmatch.filter(known, name) for name in names}
    unknown = [name for name in names if not found[name]]
    refuse(f"no {kind} is named {name[:60]!r}.{nearest(name, known)}" for name in unknown)
    return dict.fromkeys(name for each in found.values() for name in each)
