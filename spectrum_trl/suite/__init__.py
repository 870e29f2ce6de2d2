"""Spectrum Suite: modules of ``synthetic``, ``sources`` and ``mini`` list their tasks in ``TASKS``."""

import importlib
import pkgutil
from functools import cache

from spectrum_trl.suite import mini, sources, synthetic
from spectrum_trl.suite.sequence import Task


@cache
def tasks() -> dict[str, Task]:
    """Return all tasks by name, found by reading the three folders, in alphabetical order."""
    found: dict[str, Task] = {}
    for package in (synthetic, sources, mini):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for task in getattr(importlib.import_module(module.name), "TASKS", ()):
                if task.name in found:
                    raise ValueError(f"two tasks are named {task.name!r}")
                found[task.name] = task
    return dict(sorted(found.items()))
