"""All tasks that a recipe can name: the Suite's, and the tiny world's (``tiny_…``)."""

import fnmatch
from functools import cache

from spectrum_trl.suite.catalogue import suite_tasks, tasks_of
from spectrum_trl.suite.task import Task
from spectrum_trl.tiny import world

TINY_PREFIX = "tiny_"


@cache
def tasks() -> dict[str, Task]:
    """Return all tasks by name, in alphabetical order."""
    return dict(sorted((suite_tasks() | tasks_of((world,))).items()))


def matching(pattern: str) -> list[str]:
    """Return the names that a name or glob reaches: the tiny world's only if it begins with ``tiny_``."""
    names = fnmatch.filter(tasks(), pattern)
    return [name for name in names if pattern.startswith(TINY_PREFIX) or not name.startswith(TINY_PREFIX)]
