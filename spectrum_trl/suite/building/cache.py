"""Build each task once, whoever asks for it: training, evaluation, every process of them."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from spectrum_trl.errors import UserError
from spectrum_trl.paths import cache_folder
from spectrum_trl.suite.building.build import read_manifest
from spectrum_trl.suite.building.parquet import read_sequences
from spectrum_trl.suite.building.record import build, code_digest, record_file
from spectrum_trl.suite.task import SampleSequence, Task

# Built files of one task that are kept, the newest ones: other seeds, other data.
KEPT = 4


def built_sequences(
    task: Task, *, data_dir: Path, seed: int, dropped: Counter[str], paper: bool = False
) -> Iterator[SampleSequence]:
    """Yield a task's sequences as `Task.sequences` does, from a file that is built by the first who asks.

    Args:
        task: Whose files are there.
        data_dir: The data folder, or a folder that ``spectrum-trl data build`` wrote.
        seed: The only source of randomness.
        dropped: Receives the reasons of rows left out.
        paper: Whether to sample as many as the paper does.

    Raises:
        UserError: If the folder was built with other settings, or the files cannot be read.
    """
    if task.synthetic or task.source.private:
        yield from task.sequences(data_dir, seed=seed, dropped=dropped, paper=paper)
        return
    path = built(task, data_dir=data_dir, seed=seed, paper=paper)
    dropped.update(json.loads(record_file(path).read_text(encoding="utf-8"))["dropped"])
    yield from read_sequences(path)


def missing(task: Task, *, data_dir: Path | None) -> list[str]:
    """Return what a task lacks: patterns without files, or itself in a folder that was built without it."""
    if task.synthetic or data_dir is None or not (manifest := read_manifest(data_dir)):
        return task.missing(data_dir)
    return [] if task.name in manifest["tasks"] else [f"{task.name}.parquet"]


def built(task: Task, *, data_dir: Path, seed: int, paper: bool = False) -> Path:
    """Return the parquet file of a task, built now if nobody did; arguments and errors as above."""
    if manifest := read_manifest(data_dir):
        return _from_build(task, data_dir, manifest, seed=seed, sampling="paper" if paper else "default")
    folder = cache_folder() / "built"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task.name}-{_key(task, data_dir=data_dir, seed=seed, paper=paper)}.parquet"
    with FileLock(folder / f".{task.name}.lock"):
        if not (path.is_file() and record_file(path).is_file()):
            build(task, path, data_dir=data_dir, seed=seed, paper=paper)
            _remove_old(folder, task.name)
        os.utime(path)
    return path


def _from_build(task: Task, folder: Path, manifest: dict, *, seed: int, sampling: str) -> Path:
    if task.name not in manifest["tasks"]:
        raise UserError(
            f"{folder} holds no {task.name}: build it there, or point data_dir to the data folder"
        )
    if (manifest["seed"], manifest["sampling"]) != (seed, sampling):
        raise UserError(
            f"{folder} was built with seed {manifest['seed']} and {manifest['sampling']} sampling, but seed "
            f"{seed} and {sampling} sampling are asked for: change the recipe, or build again"
        )
    return folder / f"{task.name}.parquet"


def _key(task: Task, *, data_dir: Path, seed: int, paper: bool) -> str:
    """Return what tells this build from others; files by size and time, since sums of gigabytes take long."""
    files = [
        (name, (status := path.stat()).st_size, status.st_mtime_ns, str(path.resolve()))
        for name, path in task.paths(data_dir).items()
    ]
    parts = [task.name, seed, paper, code_digest(), repr(task.build) if task.own else "", files]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _remove_old(folder: Path, name: str) -> None:
    every = sorted(folder.glob(f"{name}-{'?' * 16}.parquet"), key=lambda path: path.stat().st_mtime)
    for path in every[:-KEPT]:
        path.unlink(missing_ok=True)
        record_file(path).unlink(missing_ok=True)
