"""Tasks of diversity and validity: prompts with many valid answers, and their validators."""

import importlib
import pkgutil
from functools import cache

from spectrum_trl.evaluation.diversity_tasks.diversity_task import DiversityTask


@cache
def diversity_tasks() -> dict[str, DiversityTask]:
    """Return all tasks of this folder's modules by name, in alphabetical order."""
    modules = (importlib.import_module(m.name) for m in pkgutil.iter_modules(__path__, f"{__name__}."))
    found = [task for module in modules for task in getattr(module, "TASKS", ())]
    return {task.name: task for task in sorted(found, key=lambda task: task.name)}
