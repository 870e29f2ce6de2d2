"""Read tables of any size and format in batches, with memory independent of file size.

Malformed rows are left out and counted with their lines; a file that cannot be read is an error.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv

from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.reading.csv_quotes import Watched, lines_of
from spectrum_trl.suite.reading.encoding import DAMAGED, PACKERS, PUBLISHED, Reading, delimiter_hint, opened
from spectrum_trl.suite.reading.tables import (
    column_problems,
    json_rows,
    lacking_columns,
    parquet_rows,
    unreadable,
)

# A row must fit into one block.
BLOCK_BYTES = 64 * 2**20
SHOWN = 3


def table_rows(
    path: Path, columns: Sequence[str], *, dropped: Counter[str], reading: Reading = PUBLISHED
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table: csv, tsv, json or jsonl (also with gz, bz2 or xz), or parquet.

    Args:
        path: The file; its extension decides the format.
        columns: Columns to return.
        dropped: Receives the number of malformed rows, with the first line numbers.
        reading: Delimiter and encoding, and what to do if it cannot be read.

    Yields:
        One dictionary per row. CSV cells keep the file's text unchanged.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it has another format, cannot be read, holds no rows, or lacks a column.
    """
    kind = next((s for s in reversed(path.suffixes) if s not in PACKERS), "").lower()
    if kind == ".parquet" and path.suffix not in PACKERS:
        rows: Iterator[dict[str, Any]] = parquet_rows(path, columns, reading=reading)
    elif kind in (".jsonl", ".ndjson"):
        rows = jsonl_stream(path, columns, dropped=dropped, reading=reading)
    elif kind in (".csv", ".tsv"):
        delimiter = reading.delimiter or ("," if kind == ".csv" else "\t")
        rows = csv_stream(path, columns, dropped=dropped, delimiter=delimiter, reading=reading)
    elif kind == ".json":
        rows = iter(json_rows(path, columns, reading=reading))
    else:
        raise UserError(
            f"{path}: expected a .csv, .tsv, .json or .jsonl file, compressed or not, or a .parquet file"
        )
    before, some = dropped.copy(), False
    for row in rows:
        some = True
        yield row
    if not some:
        why = "; ".join(dropped - before) or "it is empty"
        raise UserError(f"{path} holds no usable row ({why}): {reading.way_out}, or name another file")


def csv_stream(
    path: Path,
    columns: Sequence[str],
    *,
    dropped: Counter[str],
    delimiter: str = ",",
    names: Sequence[str] | None = None,
    reading: Reading = PUBLISHED,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV file.

    Args:
        path: The file, which may be compressed (gz, bz2, xz).
        columns: Columns to return.
        dropped: Receives the number of lines in rows with more or fewer fields than the header, with the
            first line numbers.
        delimiter: Delimiter of fields.
        names: All columns of a file without a header.
        reading: The file's encoding.

    Yields:
        One dictionary of strings per row; an empty cell is an empty string.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it is empty, cannot be read, or lacks a column.
    """
    reason = "row with another number of fields than the header"
    broken = _Broken(path, reason, dropped, reading=reading, delimiter=delimiter)

    def refuse(row: pyarrow.csv.InvalidRow) -> str:
        broken.add(row.number, lines=row.text.count("\n") + 1)
        return "skip"

    try:
        with opened(path, encoding=reading.encoding) as stream:
            watched = Watched(stream, delimiter)
            batches = pyarrow.csv.open_csv(
                watched,
                pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, column_names=names),
                pyarrow.csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
                ),
                pyarrow.csv.ConvertOptions(default_column_type=pyarrow.string(), strings_can_be_null=False),
            )
            present = [name.strip() for name in batches.schema.names]
            if problems := column_problems(str(path), columns, present, reading):
                other = delimiter_hint(list(columns), present, used=delimiter) if reading.own else ""
                raise UserError(*([f"{path}: {other}"] if other else problems))
            for batch in batches:
                batch = batch.rename_columns(present).select(list(columns))
                yield from batch.to_pylist()
            watched.check_closed_quotes(path)
    except (pyarrow.ArrowInvalid, UnicodeDecodeError, *DAMAGED) as error:
        if "straddling" in str(error):
            # A row does not fit into a block, for example because a quote is never closed.
            with opened(path, encoding=reading.encoding) as stream:
                Watched(stream, delimiter).check_closed_quotes(path)
        raise unreadable(path, "CSV", error, reading) from None
    finally:
        broken.report()


def jsonl_stream(
    path: Path, fields: Sequence[str], *, dropped: Counter[str], reading: Reading = PUBLISHED
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file with one JSON object per line; blank lines are skipped.

    Args:
        path: The file, which may be compressed (gz, bz2, xz).
        fields: Keys to return; a value may be null.
        dropped: Receives the number of lines that are not JSON objects, with the first line numbers.
        reading: The file's encoding.

    Yields:
        One dictionary per line.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it cannot be read, or a line lacks a key; names the first such line.
    """
    broken = _Broken(path, "line that is no JSON object", dropped, reading=reading)
    try:
        with opened(path, encoding=reading.encoding) as stream:
            # Bytes: text would also break at characters that JSON strings may hold, such as U+2028.
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    found = strict_json(line, finite=reading.own)
                except ValueError as error:
                    if reading.own and isinstance(error, UnicodeDecodeError):
                        raise
                    if reading.own and not isinstance(error.__cause__, json.JSONDecodeError):
                        raise UserError(f"{path}, line {number}: {error}") from error
                    found = None
                if not isinstance(found, dict):
                    broken.add(number)
                    continue
                if problems := lacking_columns(f"{path}, line {number}", fields, list(found), reading):
                    raise UserError(*problems)
                yield {field: found[field] for field in fields}
    except (UnicodeDecodeError, *DAMAGED) as error:
        raise unreadable(path, "JSON Lines", error, reading) from None
    finally:
        broken.report()


class _Broken:
    """Counts malformed rows of a file, and remembers the first ones."""

    def __init__(
        self, path: Path, reason: str, dropped: Counter[str], *, reading: Reading, delimiter: str = ""
    ) -> None:
        self.path, self.reason, self.dropped = path, reason, dropped
        self.reading, self.delimiter = reading, delimiter
        self.count, self.rows, self.first = 0, 0, list[int]()

    def add(self, number: int, *, lines: int = 1) -> None:
        """Count a row by its number, and all its lines."""
        self.rows += 1
        self.count += lines
        self.first = [*self.first, number][:SHOWN]

    def report(self) -> None:
        if self.count:
            more = ", …" if self.rows > len(self.first) else ""
            places = ", ".join(map(str, self._lines())) + more
            self.dropped[f"{self.reason} ({self.path.name}: {places})"] += self.count

    def _lines(self) -> list[int]:
        """Return the line numbers of the first ones; for CSV they are looked up by row number."""
        if not self.delimiter:
            return self.first
        with opened(self.path, encoding=self.reading.encoding) as file:
            return lines_of(file, self.first, n=len(self.first), delimiter=self.delimiter)
