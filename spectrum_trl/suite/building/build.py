"""Build many tasks into a folder in parallel: one file per task and a manifest; resumes a stopped build."""

import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from spectrum_trl.errors import UserError, check_ended, refuse
from spectrum_trl.files import folder_problems, write_json, writing
from spectrum_trl.suite.building.manifest import FORMAT, MANIFEST, read_manifest
from spectrum_trl.suite.building.record import (
    build,
    is_current,
    is_sequences,
    made_from,
    read_record,
    record_file,
)
from spectrum_trl.suite.catalogue import suite_tasks

WATCH_SECONDS = 1.0
# Names of temporary files of `files.write_atomic`.
LEFT = re.compile(r"\.(.+)\.(?:parquet|json)\.[0-9]+\.tmp")


class Built(NamedTuple):
    """Result of building one task.

    Attributes:
        task: Its name.
        record: Inputs and contents of its file, see `record.build`.
        kept: Whether the file is from an earlier build.
    """

    task: str
    record: dict[str, Any]
    kept: bool


def build_suite(
    names: Sequence[str],
    *,
    output: Path,
    data_dir: Path,
    seed: int,
    paper: bool = False,
    num_proc: int = 1,
    progress: Callable[[Built], None] = lambda built: None,
) -> list[Built]:
    """Build tasks of the Suite; files built earlier from the same inputs are kept.

    Args:
        names: Names of the tasks, whose files must exist and may be stored.
        output: Folder for ``TASK.parquet``, ``TASK.json`` and the manifest.
        data_dir: The data folder.
        seed: The only source of randomness.
        paper: Whether to use the paper's sampling numbers.
        num_proc: Number of processes; does not affect the bytes.
        progress: Called with each finished task.

    Returns:
        One result per task, in the order of the names.

    Raises:
        UserError: With every task that could not be built; the others are kept.
    """
    problems = [
        f"{name}: its authors ask that it not be stored, so it is built only in memory, when used"
        for name in names
        if suite_tasks()[name].source.private
    ]
    if read_manifest(data_dir):
        problems.append(f"{data_dir} holds a build: name the data folder that it was built from")
    refuse(problems + list(folder_problems(output)))
    refuse(foreign_files(output, names))
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    with FileLock(output / ".building.lock"):
        check_same_settings(output, seed=seed, paper=paper)
        remove_left(output)
        done: dict[str, Built] = {}
        failed: list[str] = []
        outcomes = _each(names, output=output, data_dir=data_dir, seed=seed, paper=paper, n=num_proc)
        try:
            for outcome in outcomes:
                check_ended()
                if isinstance(outcome, Built):
                    done[outcome.task] = outcome
                    progress(outcome)
                else:
                    failed += outcome
        finally:
            outcomes.close()
            remove_left(output)
        with writing(output / MANIFEST):
            write_manifest(output, seed=seed, paper=paper)
    refuse(failed)
    return [done[name] for name in names]


def foreign_files(output: Path, names: Sequence[str]) -> list[str]:
    """Return a problem for each file that a build would overwrite although no build wrote it."""
    manifest = read_manifest(output)
    places = [output / MANIFEST] if manifest is None else []
    for name in names:
        path = output / f"{name}.parquet"
        # After a stopped build, either may be damaged or missing.
        record = read_record(path)
        known = manifest is not None and name in manifest["tasks"]
        if not (known or (record and record["task"] == name) or is_sequences(path)):
            places += [path, record_file(path)]
    return [
        f"{place} was not written by a build: choose another folder for --output, or move the file away"
        for place in places
        if place.exists()
    ]


def remove_left(output: Path) -> None:
    """Remove the temporary files of a build that was killed."""
    for left in output.glob(".*.tmp"):
        name = LEFT.fullmatch(left.name)
        if name and left.is_file() and (name[1] in suite_tasks() or left.name.startswith(f".{MANIFEST}.")):
            left.unlink()


def check_same_settings(output: Path, *, seed: int, paper: bool) -> None:
    """Check that no task in a folder has other settings, even from a stopped build.

    Raises:
        UserError: If one does.
    """
    wanted = (seed, "paper" if paper else "default")
    for found in records(output).values():
        if (found["seed"], found["sampling"]) != wanted:
            raise UserError(
                f"{output} holds a build with seed {found['seed']} and {found['sampling']} sampling: name "
                "another folder, or delete it"
            )


def records(output: Path) -> dict[str, dict[str, Any]]:
    """Return the records of the tasks in a folder; other and damaged files are skipped."""
    found = {path.stem: read_record(path) for path in sorted(output.glob("*.parquet"))}
    return {
        name: record
        for name, record in found.items()
        if record and record["task"] == name and {"seed", "sampling"} <= record.keys()
    }


def write_manifest(output: Path, *, seed: int, paper: bool) -> None:
    """Write the list of all tasks in the folder; the same bytes for the same tasks."""
    write_json(
        {
            "format": FORMAT,
            "version": version("spectrum-trl"),
            "seed": seed,
            "sampling": "paper" if paper else "default",
            "tasks": records(output),
        },
        output / MANIFEST,
    )


def _each(
    names: Sequence[str], *, output: Path, data_dir: Path, seed: int, paper: bool, n: int
) -> Generator[Built | list[str]]:
    arguments = [(name, output, data_dir, seed, paper) for name in names]
    if n == 1:
        yield from map(_one, arguments)
        return
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(
        n,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with,
        initargs=(os.getpid(),),
    )
    try:
        for future in as_completed([pool.submit(_one, each) for each in arguments]):
            yield future.result()
        pool.shutdown()
    except BrokenProcessPool:
        yield ["a process was killed, perhaps because memory ran out: run it again with fewer processes"]
    finally:
        # After an error, Ctrl-C or a signal, the results of running processes are not needed.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - set(before):
            process.terminate()
            process.join()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, for whatever reason."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _one(arguments: tuple[str, Path, Path, int, bool]) -> Built | list[str]:
    """Build one task, or return its problems."""
    name, output, data_dir, seed, paper = arguments
    task, path = suite_tasks()[name], output / f"{name}.parquet"
    try:
        inputs = made_from(task, data_dir=data_dir, seed=seed, paper=paper)
        if record := is_current(path, inputs):
            return Built(name, record, kept=True)
        record = build(task, path, data_dir=data_dir, seed=seed, paper=paper, inputs=inputs)
        return Built(name, record, kept=False)
    except UserError as error:
        return list(error.problems)
    except OSError as error:
        return [f"{name}: {error.filename or output} cannot be written: {error.strerror or error}"]
