"""Cache of built tasks, shared by training, evaluation and all their processes."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from spectrum_trl.errors import UserError
from spectrum_trl.files import writing
from spectrum_trl.paths import cache_folder
from spectrum_trl.suite.building.manifest import read_manifest
from spectrum_trl.suite.building.record import (
    build,
    code_digest,
    is_whole,
    libraries,
    read_record,
    read_sequences,
    record_file,
)
from spectrum_trl.suite.task import SampleSequence, Task

# Number of built files kept per task, the newest ones: they differ in seed or data.
KEPT = 4


def built_sequences(
    task: Task, *, data_dir: Path, seed: int, dropped: Counter[str], paper: bool = False
) -> Iterator[SampleSequence]:
    """Yield a task's sequences as `Task.sequences` does, from a file built on first use.

    Its files must exist; ``data_dir`` may also be a folder that ``spectrum-trl data build`` wrote.

    Raises:
        UserError: If the folder was built with other settings, or the files cannot be read.
    """
    if task.synthetic or task.source.private:
        yield from task.sequences(data_dir, seed=seed, dropped=dropped, paper=paper)
        return
    path = built(task, data_dir=data_dir, seed=seed, paper=paper)
    dropped.update((read_record(path) or {"dropped": {}})["dropped"])
    yield from read_sequences(path)


def missing(task: Task, *, data_dir: Path | None) -> list[str]:
    """Return a task's missing files: patterns without a match, or its parquet file in a folder of builds."""
    if data_dir is None or not (manifest := _manifest(task, data_dir)):
        return task.missing(data_dir)
    return [] if task.name in manifest["tasks"] else [f"{task.name}.parquet"]


def built(task: Task, *, data_dir: Path, seed: int, paper: bool = False) -> Path:
    """Return a task's parquet file, built now if necessary; arguments and errors as for `built_sequences`."""
    if manifest := _manifest(task, data_dir):
        return _from_build(task, data_dir, manifest, seed=seed, sampling="paper" if paper else "default")
    folder = cache_folder() / "built"
    path = folder / f"{task.name}-{_key(task, data_dir=data_dir, seed=seed, paper=paper)}.parquet"
    with writing(folder, way_out="set SPECTRUM_CACHE to another"):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{task.name}.lock"):
            record = read_record(path)
            if record is None or not is_whole(path, record):
                build(task, path, data_dir=data_dir, seed=seed, paper=paper)
                _remove_old(folder, task.name)
            # Marks it as recently used. Not the parquet file: datasets would take it for a changed one.
            os.utime(record_file(path))
    return path


def _manifest(task: Task, data_dir: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder of builds, or None if the task is not read from such a folder."""
    return None if task.synthetic or task.own else read_manifest(data_dir)


def _from_build(task: Task, folder: Path, manifest: dict[str, Any], *, seed: int, sampling: str) -> Path:
    if task.name not in manifest["tasks"]:
        raise UserError(f"{folder} has no {task.name}: build it there, or set data_dir to the data folder")
    if (manifest["seed"], manifest["sampling"]) != (seed, sampling):
        raise UserError(
            f"{folder} was built with seed {manifest['seed']} and {manifest['sampling']} sampling, but seed "
            f"{seed} and {sampling} sampling are requested: change the recipe (mixture_seed, sampling) "
            "or the evaluation (--metadata seed=…), or build again"
        )
    path = folder / f"{task.name}.parquet"
    if not is_whole(path, manifest["tasks"][task.name]):
        raise UserError(f"{path} is missing or damaged: build it again into that folder")
    return path


def _key(task: Task, *, data_dir: Path, seed: int, paper: bool) -> str:
    """Return the cache key of a build; files enter by size and time, as checksums of gigabytes are slow."""
    files = [
        (name, (status := path.stat()).st_size, status.st_mtime_ns, str(path.resolve()))
        for name, path in task.paths(data_dir).items()
    ]
    own = [repr(task.build), task.kind, task.split] if task.own else []
    parts = [task.name, seed, paper, code_digest(), libraries(), own, files]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _remove_old(folder: Path, name: str) -> None:
    """Remove all but the newest built files of a task, and temporary files of killed processes."""
    every = sorted(folder.glob(f"{name}-{'?' * 16}.json"), key=lambda path: path.stat().st_mtime)
    for record in every[:-KEPT]:
        record.with_suffix(".parquet").unlink(missing_ok=True)
        record.unlink(missing_ok=True)
    for left in folder.glob(f".{name}-{'?' * 16}.*.tmp"):
        left.unlink(missing_ok=True)
