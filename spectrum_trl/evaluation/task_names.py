"""Select the tasks of an evaluation by names, tags, globs and files, before torch is imported."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager

from spectrum_trl.errors import nearest, refuse
from spectrum_trl.paths import bundled


def task_manager(include: Sequence[Path], *, metadata: Mapping[str, Any]) -> TaskManager:
    """Return lm-eval's manager for our tasks and further folders, given model arguments and our options."""
    folders = [str(bundled("tasks")), *map(str, include)]
    return TaskManager(include_path=folders, include_defaults=False, metadata=dict(metadata))


def select(patterns: Sequence[str], *, manager: TaskManager) -> list[str]:
    """Return the names or files of the tasks that match names, tags, globs and YAML files.

    Raises:
        UserError: With every pattern that matches none.
    """
    chosen: list[str] = []
    problems = []
    for pattern in patterns:
        file = Path(pattern)
        if file.suffix == ".yaml":
            found = [str(file)] if file.is_file() else []
        else:
            found = [name for name in manager.match_tasks([pattern]) if name in manager.all_subtasks]
            tags = [name for name in manager.match_tasks([pattern]) if name in manager.all_tags]
            found += [task for tag in tags for task in sorted(manager.task_index[tag].tags)]
        if not found:
            known = [*manager.all_subtasks, *manager.all_tags]
            problems.append(f"tasks: no task, tag or file is named {pattern!r}.{nearest(pattern, known)}")
        chosen += found
    if not patterns:
        problems.append("tasks: none is given; give names, tags, globs or YAML files")
    refuse(problems)
    return list(dict.fromkeys(chosen))
