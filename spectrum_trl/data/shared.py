"""Build a run's data in one process per machine and let the others read it."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from accelerate import PartialState
from datasets import load_from_disk
from filelock import FileLock

from spectrum_trl.data.encode import TaskCounts
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import refuse
from spectrum_trl.files import folder_problems, write_json, writing
from spectrum_trl.paths import cache_folder

COUNTS = "counts.json"
# No process takes this long to read what another has built.
LEFT_SECONDS = 7 * 24 * 3600


def built_once(build: Callable[[], Mixture], *, settings: str) -> Mixture:
    """Return the result of ``build``, called by only one process on each machine.

    The first process to hold the lock builds; if it fails, each of the others tries in turn and fails with
    the same message.

    Args:
        build: Builds the data.
        settings: Everything that determines the data; distinguishes them from those of other runs.

    Returns:
        The data; with several processes, read from a folder that is deleted once all have read it.
    """
    state = PartialState()
    if state.num_processes == 1:
        return build()
    name = hashlib.sha256(f"{settings} {_run()}".encode()).hexdigest()[:16]
    folder = cache_folder() / "mixtures" / name
    place = "(the cache folder, which SPECTRUM_CACHE names)"
    refuse(f"{problem} {place}" for problem in folder_problems(folder.parent))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _write(build(), folder)
        mixture = _read(folder)
    state.wait_for_everyone()
    if state.is_local_main_process:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".lock").unlink(missing_ok=True)
        _remove_left(folder.parent)
    return mixture


def _remove_left(folder: Path) -> None:
    """Remove the leftovers of runs that were killed before all their processes had read the data."""
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > LEFT_SECONDS:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _run() -> str:
    """Return an identifier shared by the processes of one run on one machine, and by no others."""
    # Machines can share a cache folder and have the same numbers.
    return f"{platform.node()} {os.environ.get('MASTER_PORT')} {os.getppid()}"


def _write(mixture: Mixture, folder: Path) -> None:
    way_out = "make room, or set SPECTRUM_CACHE to another folder"
    with writing(folder, way_out=way_out), tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        place = Path(scratch) / "whole"
        mixture.dataset.save_to_disk(str(place))
        rest = {"counts": [count._asdict() for count in mixture.counts], "missing": mixture.missing}
        write_json(rest, place / COUNTS)
        place.rename(folder)


def _read(folder: Path) -> Mixture:
    rest = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
    counts = [TaskCounts(**count) for count in rest["counts"]]
    # In memory, as for a single process: a later `map` would otherwise write its cache beside the files.
    return Mixture(load_from_disk(str(folder), keep_in_memory=True), counts, rest["missing"])
