"""All tasks that a recipe can name: those of the Suite and of the tiny world (``tiny_…``)."""

import fnmatch
from collections.abc import Iterable, Iterator
from functools import cache

from spectrum_trl.errors import nearest
from spectrum_trl.suite.catalogue import suite_tasks, tasks_of
from spectrum_trl.suite.own.table import is_own
from spectrum_trl.suite.task import Task
from spectrum_trl.tiny import world

TINY_PREFIX = "tiny_"


@cache
def tasks() -> dict[str, Task]:
    """Return all tasks by name, sorted."""
    return dict(sorted((suite_tasks() | tasks_of((world,))).items()))


def matching(pattern: str) -> list[str]:
    """Return the task names that match a name or glob; ``tiny_…`` names only for a pattern that starts so."""
    names = fnmatch.filter(tasks(), pattern)
    return [name for name in names if pattern.startswith(TINY_PREFIX) or not name.startswith(TINY_PREFIX)]


# Before a name or glob: leaves out what it matches among the tasks listed before it.
EXCLUDE = "!"


def unknown_tasks(patterns: Iterable[str], *, key: str = "tasks") -> Iterator[str]:
    """Yield a message for each name or glob that matches no task; the user's own files are skipped.

    Args:
        patterns: The names and globs.
        key: The recipe's key that has them, for the messages.
    """
    for pattern in (given.removeprefix(EXCLUDE) for given in patterns):
        if not is_own(pattern) and not matching(pattern):
            yield (
                f"{key}: no task is named {pattern[:60]!r}.{nearest(pattern, tasks())} "
                "`spectrum-trl data list` lists all tasks."
            )
