"""All tasks that a recipe can name: the Suite's, and the tiny world's (``tiny_…``)."""

import fnmatch
import importlib
import pkgutil
from functools import cache

from spectrum_trl.suite import sources, synthetic
from spectrum_trl.suite.task import Task
from spectrum_trl.tiny import world

TINY_PREFIX = "tiny_"


@cache
def tasks() -> dict[str, Task]:
    """Return all tasks by name, found by reading the three folders, in alphabetical order."""
    found: dict[str, Task] = {}
    for package in (synthetic, sources, world):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for task in getattr(importlib.import_module(module.name), "TASKS", ()):
                if task.name in found:
                    raise ValueError(f"two tasks are named {task.name!r}")
                found[task.name] = task
    return dict(sorted(found.items()))


def matching(pattern: str) -> list[str]:
    """Return the names that a name or glob reaches: the tiny world's only if it begins with ``tiny_``."""
    names = fnmatch.filter(tasks(), pattern)
    return [name for name in names if pattern.startswith(TINY_PREFIX) or not name.startswith(TINY_PREFIX)]
