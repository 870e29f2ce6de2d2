"""Build many tasks into a folder: a file each and a manifest, in parallel, going on where a build stopped."""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from spectrum_trl.errors import UserError
from spectrum_trl.files import folder_problems, write_json, writing
from spectrum_trl.suite.building.record import build, is_current, made_from, read_record
from spectrum_trl.suite.catalogue import suite_tasks

MANIFEST = "manifest.json"
FORMAT = "spectrum-suite-1"


class Built(NamedTuple):
    """What became of one task.

    Attributes:
        task: Its name.
        record: What its file was made from and holds, see `record.build`.
        kept: Whether an earlier build had made it.
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
    told: Callable[[Built], None] = lambda built: None,
) -> list[Built]:
    """Build tasks of the Suite; what an earlier build finished from the same inputs is kept.

    Args:
        names: Of the tasks, whose files are there and may be stored.
        output: Folder for ``TASK.parquet``, ``TASK.json`` and the manifest.
        data_dir: The data folder.
        seed: The only source of randomness.
        paper: Whether to sample as many as the paper does.
        num_proc: Processes that share the tasks; the bytes do not depend on it.
        told: Is called with each task that is done.

    Returns:
        What became of each, in the order of the names.

    Raises:
        UserError: With what could not be built; what could is kept.
    """
    problems = [
        f"{name}: its authors ask that it be stored nowhere, so it is built in memory only, where it is used"
        for name in names
        if suite_tasks()[name].source.private
    ]
    if read_manifest(data_dir):
        problems.append(f"{data_dir} holds a build: name the data folder that it was made from")
    if problems := problems + list(folder_problems(output)):
        raise UserError(*problems)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    with FileLock(output / ".building.lock"):
        check_same_settings(output, seed=seed, paper=paper)
        for left in output.glob(".*.tmp"):
            left.unlink()
        done: dict[str, Built] = {}
        failed: list[str] = []
        for outcome in _each(names, output=output, data_dir=data_dir, seed=seed, paper=paper, n=num_proc):
            if isinstance(outcome, Built):
                done[outcome.task] = outcome
                told(outcome)
            else:
                failed += outcome
        with writing(output / MANIFEST):
            write_manifest(output, seed=seed, paper=paper)
    if failed:
        raise UserError(*failed)
    return [done[name] for name in names]


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder that `build_suite` wrote, or None if it is another folder."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return found if found["format"] == FORMAT and isinstance(found["tasks"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_same_settings(output: Path, *, seed: int, paper: bool) -> None:
    """Check that a folder holds no tasks that were sampled otherwise, in a build that was stopped either.

    Raises:
        UserError: If it does.
    """
    wanted = (seed, "paper" if paper else "default")
    for found in records(output).values():
        if (found["seed"], found["sampling"]) != wanted:
            raise UserError(
                f"{output} holds a build with seed {found['seed']} and {found['sampling']} sampling: name "
                "another folder, or remove it"
            )


def records(output: Path) -> dict[str, dict[str, Any]]:
    """Return the records of the tasks in a folder; other files are passed over, and damaged ones."""
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
) -> Iterator[Built | list[str]]:
    arguments = [(name, output, data_dir, seed, paper) for name in names]
    if n == 1:
        yield from map(_one, arguments)
        return
    with ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(_one, each) for each in arguments]):
                yield future.result()
        except BrokenProcessPool:
            yield ["a process was ended from outside, perhaps for want of memory: run it again with fewer"]


def _one(arguments: tuple[str, Path, Path, int, bool]) -> Built | list[str]:
    """Build one task, or return what is wrong with it."""
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
