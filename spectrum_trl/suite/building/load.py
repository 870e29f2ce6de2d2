"""Load a task as a `datasets.Dataset`."""

import os
from collections import Counter
from pathlib import Path
from typing import get_args

import datasets
import pyarrow
from datasets import Dataset, NamedSplit, concatenate_datasets
from datasets.exceptions import DatasetGenerationError

from spectrum_trl.errors import MissingData, UserError, nearest
from spectrum_trl.paths import data_dir as data_folder
from spectrum_trl.suite.building.cache import built, missing
from spectrum_trl.suite.building.record import SCHEMA
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.fetching.status import ensure, status
from spectrum_trl.suite.own.table import has_parts, is_own, read_own
from spectrum_trl.suite.task import Split, Task


def load_task(
    name: str, *, data_dir: str | os.PathLike[str] | None, split: str | None, seed: int, paper: bool
) -> Dataset:
    """Return a task's sequences; arguments and errors as for `spectrum_trl.suite.load`."""
    if seed < 0:
        raise UserError(f"seed: expected 0 or more, found {seed}")
    tasks = find_tasks(name, split=split)
    folder = data_folder(data_dir)
    failed = ensure(tasks, data_dir=folder)
    for task in tasks:
        if absent := missing(task, data_dir=folder):
            how = "; ".join(failed) or status(task, data_dir=folder).how
            raise MissingData(f"{name}: {folder} has no {', '.join(absent)}: {how}")
    found = [_dataset(task, folder, seed=seed, paper=paper) for task in tasks]
    # A concatenated dataset has no split.
    return found[0] if len(found) == 1 else concatenate_datasets(found)


def find_tasks(name: str, *, split: str | None) -> list[Task]:
    """Return a task of the Suite, or the splits of the one that a user's YAML file declares.

    Args:
        name: Name of the task, or the YAML file.
        split: The split wanted, or None for all.

    Raises:
        UserError: If there is no such task or split.
    """
    splits: tuple[Split, ...] = get_args(Split)
    if split is not None and split not in splits:
        raise UserError(f"{name}: expected split {' or '.join(splits)}, found {split!r}")
    if is_own(name):
        file = Path(name)
        chosen = [each for each in splits if split in (None, each)]
        if not has_parts(file):
            return [read_own(file, split=chosen[0] if split else None)]
        return [read_own(file, split=each) for each in chosen]
    tasks = suite_tasks()
    if name not in tasks:
        raise UserError(
            f"no task is named {name[:60]!r}.{nearest(name, tasks)} `spectrum-trl data list` lists them"
        )
    if split not in (None, tasks[name].split):
        raise UserError(f"{name} has no split {split!r}: it is in {tasks[name].split}")
    return [tasks[name]]


def _dataset(task: Task, folder: Path, *, seed: int, paper: bool) -> Dataset:
    if not task.source.private:
        path = built(task, data_dir=folder, seed=seed, paper=paper)
        try:
            return Dataset.from_parquet(str(path), split=NamedSplit(task.split))
        except (OSError, DatasetGenerationError) as error:
            why = error.__cause__ or error
            reason = getattr(why, "strerror", None) or " ".join(str(why).split())[:200]
            raise UserError(
                f"{path} cannot be loaded through {datasets.config.HF_DATASETS_CACHE} ({reason}): make room "
                "there, or set HF_DATASETS_CACHE to another folder"
            ) from None
    rows = task.sequences(folder, seed=seed, dropped=Counter(), paper=paper)
    # In memory only.
    found = [{name: getattr(row, name) for name in SCHEMA.names} for row in rows]
    return Dataset(pyarrow.Table.from_pylist(found, schema=SCHEMA), split=NamedSplit(task.split))
