"""Records of the inputs of built files, which show when a file must be rebuilt."""

import hashlib
from collections import Counter
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.files import sha256_of, write_json
from spectrum_trl.strict.json import read_json
from spectrum_trl.suite.building.manifest import is_record
from spectrum_trl.suite.building.parquet import write_sequences
from spectrum_trl.suite.fetching.lock import read_lock
from spectrum_trl.suite.source import Download
from spectrum_trl.suite.task import Task

# Libraries that read and sample rows; other versions may give other rows.
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
        task: The task, whose files must exist.
        path: The parquet file, whose folder must exist; the record has the same name with ``.json``.
        data_dir: The data folder.
        seed: The only source of randomness.
        paper: Whether to use the paper's sampling numbers.
        inputs: Result of `made_from` if already called, because it reads all files.

    Returns:
        The record.

    Raises:
        UserError: If its files changed since they were fetched, cannot be read, or give no sequence.
    """
    inputs = inputs or made_from(task, data_dir=data_dir, seed=seed, paper=paper)
    check_unchanged(inputs["files"], data_dir=data_dir)
    check_given(task, inputs["files"])
    dropped: Counter[str] = Counter()
    record_file(path).unlink(missing_ok=True)
    written = write_sequences(task.sequences(data_dir, seed=seed, dropped=dropped, paper=paper), path)
    if not written.sequences:
        path.unlink()
        raise UserError(f"{task.name}: its files give no sequence; left out: {dict(dropped) or 'nothing'}")
    record = {**inputs, **written._asdict(), "dropped": dict(sorted((+dropped).items()))}
    record["sha256"] = sha256_of(path)
    write_json(record, record_file(path))
    return record


def made_from(task: Task, *, data_dir: Path, seed: int, paper: bool) -> dict[str, Any]:
    """Return everything that determines a built file: settings, code, libraries, checksums of its inputs."""
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
    """Return the versions of the libraries that affect builds."""
    return {name: version(name) for name in LIBRARIES}


def is_current(path: Path, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of a built file if it has the same inputs and is intact, else None."""
    record = read_record(path)
    same = record is not None and all(record.get(name) == value for name, value in inputs.items())
    return record if same and record and is_whole(path, record) else None


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a built file, or None if it is missing or damaged."""
    try:
        found = read_json(record_file(path))
    except (OSError, ValueError):
        return None
    return found if is_record(found) else None


def is_whole(path: Path, record: dict[str, Any]) -> bool:
    """Return whether a built file exists and matches its record."""
    return path.is_file() and sha256_of(path) == record["sha256"]


def record_file(path: Path) -> Path:
    """Return the path of a built file's record."""
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
    """Check that fetched files have not changed.

    Args:
        files: ``sha256`` of each file, by path below the data folder.
        data_dir: The data folder.

    Raises:
        UserError: With every file that changed.
    """
    locked = read_lock(data_dir)["files"]
    refuse(
        f"{data_dir / path} changed since it was fetched: delete it and fetch it again"
        for path, found in files.items()
        if path in locked and locked[path]["sha256"] != found["sha256"]
    )


def check_given(task: Task, files: dict[str, dict[str, Any]]) -> None:
    """Check a user's file against the checksum in its YAML file, even if it was put there by hand.

    Raises:
        UserError: If they differ.
    """
    given = {each.path: each.sha256 for each in task.source.downloads if isinstance(each, Download)}
    for path, found in files.items():
        if task.own and given.get(path) not in (None, found["sha256"]):
            raise UserError(
                f"{path} does not match the given sha256: it has {found['sha256']}. Correct the checksum, "
                "or delete the file to fetch it again"
            )
