"""Read parquet files in batches."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from spectrum_trl.console import visible
from spectrum_trl.errors import UserError
from spectrum_trl.suite.reading.files import PUBLISHED, Reading, column_problems, unreadable


def parquet_rows(
    path: Path, columns: Sequence[str], *, reading: Reading = PUBLISHED
) -> Iterator[dict[str, Any]]:
    """Read a parquet file in batches.

    Args:
        path: The file.
        columns: Columns to return; other columns are not read.
        reading: Whether it is the user's own.

    Yields:
        One dictionary per row, with None where a cell is null.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it is not a parquet file or lacks a column.
    """
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            found = file.schema_arrow
            if problems := column_problems(str(path), columns, found.names, reading) or [
                f"{path}: column {column!r} holds bytes, expected text or numbers: convert it"
                for column in columns
                if pyarrow.types.is_binary(kind := found.field(column).type)
                or pyarrow.types.is_large_binary(kind)
                or pyarrow.types.is_fixed_size_binary(kind)
            ]:
                raise UserError(*problems)
            batches = file.iter_batches(columns=list(columns))
            for batch in _own_batches(batches, path) if reading.own else batches:
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(path, "parquet", error, reading) from None


def _own_batches(batches: Iterable[pyarrow.RecordBatch], path: Path) -> Iterator[pyarrow.RecordBatch]:
    """Yield the batches of a user's table, with numbers at the precision they were saved with.

    Args:
        batches: The batches.
        path: The file, for the message.

    Raises:
        UserError: If a number is infinite, as when reading JSON; names row and column. NaN is allowed:
            pandas writes it for an empty cell.
    """
    n_before = 0
    for batch in batches:
        for field, column in zip(batch.schema, batch.columns, strict=True):
            if not pyarrow.types.is_floating(field.type):
                continue
            found = pyarrow.compute.is_inf(column.cast(pyarrow.float64())).to_pylist()
            if True in found:
                row = n_before + found.index(True) + 1
                raise UserError(
                    f"{path}, row {row}, column {visible(field.name)!r}: infinity is not a value; leave the "
                    "cell empty, or save the column as text"
                )
        n_before += batch.num_rows
        yield _shortened(batch)


def _shortened(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    """Convert 16- and 32-bit numbers to the 64-bit numbers with the same shortest decimal digits."""
    for place, field in enumerate(batch.schema):
        if pyarrow.types.is_float16(field.type) or pyarrow.types.is_float32(field.type):
            digits = batch.column(place).cast(pyarrow.float32()).cast(pyarrow.string())
            batch = batch.set_column(place, field.name, digits.cast(pyarrow.float64()))
    return batch
