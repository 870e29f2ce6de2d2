"""Tasks of distributional alignment: questions whose distribution of answers is known."""

import importlib
import pkgutil
from functools import cache

from spectrum_trl.evaluation.distributional_tasks.distributional_task import DistributionalTask


@cache
def distributional_tasks() -> dict[str, DistributionalTask]:
    """Return all tasks by name, one module each, in alphabetical order."""
    modules = (importlib.import_module(m.name) for m in pkgutil.iter_modules(__path__, f"{__name__}."))
    found = [module.TASK for module in modules if hasattr(module, "TASK")]
    return {task.name: task for task in sorted(found, key=lambda task: task.name)}
