"""All tasks of the Suite, found by reading the folders of synthetic tasks and of sources."""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from spectrum_trl.suite import sources, synthetic
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Task


def tasks_of(packages: Iterable[ModuleType]) -> dict[str, Task]:
    """Return the tasks that the modules of packages end in, by name, in alphabetical order."""
    found: dict[str, Task] = {}
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
    """Return all sources that files come from, by name."""
    found = {task.source.name: task.source for task in suite_tasks().values() if not task.synthetic}
    return dict(sorted(found.items()))
