"""Tasks of diversity and validity: prompts with many valid answers, and their validators."""

import sys
from functools import cache

from spectrum_trl.evaluation.diversity_tasks.task import DiversityTask
from spectrum_trl.suite.catalogue import tasks_of


@cache
def diversity_tasks() -> dict[str, DiversityTask]:
    """Return all tasks of this folder's modules by name, in alphabetical order."""
    return tasks_of((sys.modules[__name__],))
