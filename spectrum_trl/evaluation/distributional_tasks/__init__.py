"""Tasks of distributional alignment: questions whose distribution of answers is known."""

import sys
from functools import cache

from spectrum_trl.evaluation.distributional_tasks.task import DistributionalTask
from spectrum_trl.suite.catalogue import tasks_of


@cache
def distributional_tasks() -> dict[str, DistributionalTask]:
    """Return all tasks of this folder's modules by name, in alphabetical order."""
    return tasks_of((sys.modules[__name__],))
