"""Parquet files of sequences, written in batches, with the same bytes for the same sequences."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet

from spectrum_trl.files import write_atomic
from spectrum_trl.suite.task import SampleSequence

SCHEMA = pyarrow.schema(
    [
        *((name, pyarrow.string()) for name in ("sequence_id", "task", "source", "kind", "split")),
        ("n_outputs", pyarrow.int32()),
        (
            "messages",
            pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])),
        ),
    ]
)
# A batch is written when it has this many turns.
PART_TURNS = 20_000


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
    """Yield the sequences of a file, with one batch in memory at a time."""
    with pyarrow.parquet.ParquetFile(path) as file:
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
