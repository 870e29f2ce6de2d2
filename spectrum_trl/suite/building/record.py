"""What a built file was made from, so that it is known when it has to be built again."""

import hashlib
from collections import Counter
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.files import sha256_of, write_json
from spectrum_trl.strict.json import read_json
from spectrum_trl.suite.building.parquet import write_sequences
from spectrum_trl.suite.fetching.lock import read_lock
from spectrum_trl.suite.manifest import is_record
from spectrum_trl.suite.source import Download
from spectrum_trl.suite.task import Task

# What draws and reads the rows; another version may give others.
LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy")


def build(
    task: Task,
    path: Path,
    *,
    data_dir: Path,
    seed: int,
    paper: bool,
    inputs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Build a task into a parquet file, with its record beside it.

    Args:
        task: To build; its files are there.
        path: The parquet file, whose folder exists; the record has its name with ``.json``.
        data_dir: The data folder.
        seed: The only source of randomness.
        paper: Whether to sample as many as the paper does.
        inputs: What `made_from` returned, if it was called already: it reads all files.

    Returns:
        The record.

    Raises:
        UserError: If its files are not what was fetched, cannot be read, or give no sequence.
    """
    inputs = inputs or made_from(task, data_dir=data_dir, seed=seed, paper=paper)
    check_unchanged(inputs["files"], data_dir=data_dir)
    check_given(task, inputs["files"])
    dropped: Counter[str] = Counter()
    record_file(path).unlink(missing_ok=True)
    written = write_sequences(task.sequences(data_dir, seed=seed, dropped=dropped, paper=paper), path)
    if not written.sequences:
        path.unlink()
        raise UserError(f"{task.name}: no sequence came of its files; left out: {dict(dropped) or 'nothing'}")
    record = {**inputs, **written._asdict(), "dropped": dict(sorted((+dropped).items()))}
    record["sha256"] = sha256_of(path)
    write_json(record, record_file(path))
    return record


def made_from(task: Task, *, data_dir: Path, seed: int, paper: bool) -> dict[str, Any]:
    """Return all that decides what a task's file holds: settings, code, libraries, sums of its files."""
    return {
        "task": task.name,
        "seed": seed,
        "sampling": "paper" if paper else "default",
        "code": code_digest(),
        "libraries": libraries(),
        "files": {
            name: {"sha256": sha256_of(path), "bytes": path.stat().st_size}
            for name, path in task.paths(data_dir).items()
        },
    }


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that decide what is built."""
    return {name: version(name) for name in LIBRARIES}


def is_current(path: Path, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of a built file if it was made from just these inputs and is whole, else None."""
    record = read_record(path)
    same = record is not None and all(record.get(name) == value for name, value in inputs.items())
    return record if same and record and is_whole(path, record) else None


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a built file, or None if there is none, or a damaged one."""
    try:
        found = read_json(record_file(path))
    except (OSError, ValueError):
        return None
    return found if is_record(found) else None


def is_whole(path: Path, record: dict[str, Any]) -> bool:
    """Tell whether a built file is there and what its record says."""
    return path.is_file() and sha256_of(path) == record["sha256"]


def record_file(path: Path) -> Path:
    """Return where the record of a built file is."""
    return path.with_suffix(".json")


@cache
def code_digest() -> str:
    """Return a digest of the code that builds sequences."""
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]
    for file in sorted(folder.rglob("*.py")):
        if file.parent.name not in ("fetching", "building"):
            digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def check_unchanged(files: dict[str, dict[str, Any]], *, data_dir: Path) -> None:
    """Check that files which were fetched are still what was fetched.

    Args:
        files: Path below the data folder to its ``sha256``.
        data_dir: The data folder.

    Raises:
        UserError: Naming those that are not.
    """
    locked = read_lock(data_dir)["files"]
    if problems := [
        f"{data_dir / path} is not the file that was fetched any more: remove it and fetch again"
        for path, found in files.items()
        if path in locked and locked[path]["sha256"] != found["sha256"]
    ]:
        raise UserError(*problems)


def check_given(task: Task, files: dict[str, dict[str, Any]]) -> None:
    """Check that a file of a user's own has the sum that the user gives, also one put there by hand.

    Raises:
        UserError: If it has another.
    """
    given = {each.path: each.sha256 for each in task.source.downloads if isinstance(each, Download)}
    for path, found in files.items():
        if task.own and given.get(path) not in (None, found["sha256"]):
            raise UserError(
                f"{path} is not the file whose sha256 is given: it has {found['sha256']}. Correct the sum, "
                "or remove the file to fetch it again"
            )
