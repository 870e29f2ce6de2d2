"""All tasks that a recipe can name: the Suite's, and the tiny world's (``tiny_…``)."""

import fnmatch
from collections.abc import Iterable, Iterator
from functools import cache

from spectrum_trl.errors import nearest
from spectrum_trl.suite.catalogue import suite_tasks, tasks_of
from spectrum_trl.suite.own import is_own
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


def unknown_tasks(patterns: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with names and globs that reach no task; files of the user's own pass."""
    for pattern in patterns:
        if not is_own(pattern) and not matching(pattern):
            yield (
                f"tasks: no task is named {pattern[:60]!r}.{nearest(pattern, tasks())} "
                "`spectrum-trl data list` lists them."
            )
