"""Built files: parquet, the same bytes for the same sequences, and records of what they were built from."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.files import sha256_of, write_atomic, write_json
from spectrum_trl.strict.json import read_json
from spectrum_trl.suite.building.manifest import is_record
from spectrum_trl.suite.fetching.lock import read_lock
from spectrum_trl.suite.source import Download
from spectrum_trl.suite.task import SampleSequence, Task

SCHEMA = pyarrow.schema(
    [
        *((name, pyarrow.string()) for name in ("sequence_id", "task", "source", "kind", "split")),
        ("n_outputs", pyarrow.int32()),
        (
            "messages",
            pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])),
        ),
        ("individual", pyarrow.string()),
    ]
)
# A batch is written when it has this many turns.
PART_TURNS = 20_000
# Libraries that read and sample rows; other versions may give other rows.
LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy")


class Written(NamedTuple):
    """Counts of a written file.

    Attributes:
        sequences: Number of sequences.
        outputs: Number of outputs in all sequences.
    """

    sequences: int
    outputs: int


def write_sequences(sequences: Iterable[SampleSequence], path: Path) -> Written:
    """Write sequences in order; the file appears only when complete.

    Args:
        sequences: The sequences, iterated once.
        path: The file, whose folder must exist.

    Returns:
        The counts.
    """
    n_sequences = n_outputs = 0
    with (
        write_atomic(path) as temporary,
        pyarrow.parquet.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for part in _parts(sequences):
            n_sequences += len(part)
            n_outputs += sum(sequence.n_outputs for sequence in part)
            rows = [{name: getattr(sequence, name) for name in SCHEMA.names} for sequence in part]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=SCHEMA))
    return Written(n_sequences, n_outputs)


def read_sequences(path: Path) -> Iterator[SampleSequence]:
    """Yield the sequences of a file, with one batch in memory at a time.

    Raises:
        UserError: If an earlier version wrote it.
    """
    with pyarrow.parquet.ParquetFile(path) as file:
        if "individual" not in file.schema_arrow.names:
            raise UserError(f"{path} was built by an earlier version, without individuals: build it again")
        for batch in file.iter_batches(batch_size=256):
            for row in batch.to_pylist():
                del row["n_outputs"]
                yield SampleSequence(**row)


def is_sequences(path: Path) -> bool:
    """Return whether a file was written by `write_sequences`."""
    try:
        return bool(pyarrow.parquet.read_schema(path).names == SCHEMA.names)
    except (OSError, pyarrow.ArrowException):
        return False


def _parts(sequences: Iterable[SampleSequence]) -> Iterator[list[SampleSequence]]:
    part: list[SampleSequence] = []
    turns = 0
    for sequence in sequences:
        part.append(sequence)
        turns += len(sequence.messages)
        if turns >= PART_TURNS:
            yield part
            part, turns = [], 0
    if part:
        yield part


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
