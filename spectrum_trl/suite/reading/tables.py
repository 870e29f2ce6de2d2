"""Read tables: CSV, TSV, JSON and JSON Lines, compressed or not, and parquet.

CSV cells keep the file's text unchanged: ``NA`` is a word and ``007`` keeps its zeros. A byte order mark, any
line ends and line breaks inside quotes are handled. CSV, JSON Lines and parquet are read row by row, with
memory independent of file size.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, refuse
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.reading.files import (
    DAMAGED,
    PACKERS,
    PUBLISHED,
    Reading,
    column_problems,
    delimiter_hint,
    lacking_columns,
    names_of,
    opened,
    unreadable,
)
from spectrum_trl.suite.reading.parquet import parquet_rows

SHOWN = 3
MARK = "\ufeff"
# Follows the last line of a CSV file, and becomes part of its last cell if that is still open.
END = "\0end\0"
# A longer cell begins with a quotation mark that is never closed.
LONGEST_CELL = 64 * 2**20
csv.field_size_limit(LONGEST_CELL)
# Eighteen digits always fit into 64 bits.
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")

# Counts a malformed row, given its first line and its number of lines.
Skip = Callable[[int, int], None]


def table_rows(
    path: Path, columns: Sequence[str], *, dropped: Counter[str], reading: Reading = PUBLISHED
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table: csv, tsv, json or jsonl (also with gz, bz2 or xz), or parquet.

    Args:
        path: The file; its extension decides the format.
        columns: Columns to return.
        dropped: Receives the number of lines of malformed rows, with the first line numbers: in CSV, those
            with more or fewer cells than the header.
        reading: Delimiter and encoding, and what to do if it cannot be read.

    Yields:
        One dictionary per row. CSV cells keep the file's text unchanged.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it has another format, cannot be read, holds no rows, or lacks a column.
    """
    kind = _kind(path)
    if kind == ".parquet" and path.suffix not in PACKERS:
        rows: Iterator[dict[str, Any]] = parquet_rows(path, columns, reading=reading)
    elif kind in (".jsonl", ".ndjson"):
        rows = jsonl_rows(path, columns, dropped=dropped, reading=reading)
    elif kind in (".csv", ".tsv"):
        rows = _csv_records(path, columns, reading=reading, dropped=dropped)
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


def _kind(path: Path) -> str:
    """Return the extension that tells a file's format."""
    return next((s for s in reversed(path.suffixes) if s not in PACKERS), "").lower()


def csv_rows(path: Path, columns: Sequence[str], *, header: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the rows of a published CSV file, none of which may be malformed.

    Args:
        path: The file.
        columns: Columns to return, in this order; without a header, the names of all columns of the file.
        header: Whether the first row holds the names (surrounding white space is ignored).

    Yields:
        One dictionary of texts per row; empty cells, and those missing from short rows, are empty strings.

    Raises:
        MissingData: If the file does not exist.
        UserError: If the file is empty or malformed, or lacks a column.
    """
    some = False
    for row in _csv_records(path, columns, reading=PUBLISHED, header=header):
        some = True
        yield row
    if not some:
        raise UserError(f"{path} has a header but no rows: fetch it again")


def whole_numbers(
    rows: Iterable[dict[str, Any]], columns: Sequence[str], *, path: Path
) -> list[dict[str, Any]]:
    """Return the rows of a file with the cells of some columns as integers.

    Raises:
        UserError: With the first cells that are not whole numbers of up to eighteen digits.
    """
    rows = list(rows)
    problems = [
        f"{path}, row {number}, column {column!r}: expected a whole number, found {row[column]!r}"
        for column in columns
        for number, row in enumerate(rows, start=1)
        if not WHOLE.fullmatch(row[column])
    ]
    refuse(first_of(problems))
    return [row | {column: int(row[column]) for column in columns} for row in rows]


def _csv_records(
    path: Path,
    columns: Sequence[str],
    *,
    reading: Reading,
    header: bool = True,
    dropped: Counter[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV file; without ``dropped``, malformed ones are completed or refused."""
    delimiter = reading.delimiter or ("\t" if _kind(path) == ".tsv" else ",")
    reason = "row with another number of fields than the header"
    try:
        with (
            nullcontext() if dropped is None else _counting(path, reason, dropped) as skip,
            opened(path, encoding=reading.encoding, newline="") as lines,
        ):
            records = _cells(lines, path, delimiter=delimiter)
            present = _header(next(records, None), path, columns, reading, delimiter) if header else columns
            places = {column: present.index(column) for column in columns}
            for line, n_lines, cells in records:
                if len(cells) != len(present):
                    if skip:
                        skip(line, n_lines)
                        continue
                    if len(cells) > len(present) or not header:
                        raise UserError(
                            f"{path}, line {line} has {counted(len(cells), 'column')}, expected "
                            f"{len(present)} ({names_of(present)}): fetch it again"
                        )
                    cells += [""] * (len(present) - len(cells))
                yield {column: cells[place] for column, place in places.items()}
    except (UnicodeError, *DAMAGED) as error:
        raise unreadable(path, "CSV", error, reading) from None


def _header(
    first: tuple[int, int, list[str]] | None,
    path: Path,
    columns: Sequence[str],
    reading: Reading,
    delimiter: str,
) -> list[str]:
    if first is None:
        raise UserError(f"{path} is empty: {reading.way_out}")
    present = [name.strip() for name in first[2]]
    if problems := column_problems(str(path), columns, present, reading):
        other = delimiter_hint(list(columns), present, used=delimiter) if reading.own else ""
        raise UserError(*([f"{path}: {other}"] if other else problems))
    return present


def _cells(lines: Iterator[str], path: Path, *, delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield first line, number of lines and cells of each row of a CSV file but the empty ones."""
    # A byte order mark would hide a quotation mark behind it.
    first = next(lines, "").removeprefix(MARK)
    reader, before = csv.reader(chain([first], lines, [END]), delimiter=delimiter), 0
    try:
        for cells in reader:
            if cells == [END] and reader.line_num == before + 1:
                return
            if cells and cells[-1].endswith(END):
                # The cells before it may hold line breaks too.
                before += len(re.findall(r"\r\n?|\n", ",".join(cells[:-1])))
                raise csv.Error
            if cells:
                yield before + 1, reader.line_num - before, cells
            before = reader.line_num
    except csv.Error:
        raise UserError(
            f"{path}, line {before + 1}: a quotation mark opens a cell that is never closed, so all rows "
            "below would be part of it. Close it; to write a quotation mark inside a text, double it and "
            "quote the text"
        ) from None


def jsonl_rows(
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
    # A published line that is not in the encoding is only counted: its lone surrogates cannot be encoded.
    errors = "strict" if reading.own else "surrogateescape"
    try:
        with (
            _counting(path, "line that is no JSON object", dropped) as skip,
            # Lines end at line feeds alone: JSON strings may hold other breaks, such as U+2028.
            opened(path, encoding=reading.encoding, errors=errors, newline="\n") as lines,
        ):
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                found = _line_value(line, f"{path}, line {number}", reading)
                if not isinstance(found, dict):
                    skip(number, 1)
                    continue
                refuse(lacking_columns(f"{path}, line {number}", fields, list(found), reading))
                yield {field: found[field] for field in fields}
    except (UnicodeError, *DAMAGED) as error:
        raise unreadable(path, "JSON Lines", error, reading) from None


def _line_value(line: str, place: str, reading: Reading) -> Any:
    """Return a line's JSON value, or None if it has none.

    Raises:
        UserError: If a line of a user's file is JSON but not allowed, such as one with a repeated key.
    """
    try:
        return strict_json(line.encode(), finite=reading.own)
    except ValueError as error:
        if reading.own and isinstance(error, UnicodeError):
            raise
        if reading.own and not isinstance(error.__cause__, json.JSONDecodeError):
            raise UserError(f"{place}: {error}") from error
    return None


@contextmanager
def _counting(path: Path, reason: str, dropped: Counter[str]) -> Iterator[Skip]:
    """Count malformed rows, told in ``dropped`` at the end, however it comes."""
    first, n_rows, count = list[int](), 0, 0

    def skip(line: int, n_lines: int) -> None:
        nonlocal n_rows, count
        n_rows, count = n_rows + 1, count + n_lines
        if n_rows <= SHOWN:
            first.append(line)

    try:
        yield skip
    finally:
        if count:
            places = ", ".join(map(str, first)) + (", …" if n_rows > SHOWN else "")
            dropped[f"{reason} ({path.name}: {places})"] += count


def json_file(path: Path, *, relaxed: bool = False, reading: Reading = PUBLISHED) -> Any:
    """Read one JSON value.

    Args:
        path: The file, in UTF-8.
        relaxed: Accept deviations from JSON that YAML allows, such as a trailing comma; tabs become spaces.
        reading: Its encoding.

    Returns:
        The value.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it is not JSON; the message names line and column.
    """
    try:
        with opened(path, encoding=reading.encoding, newline="") as file:
            content = file.read().removeprefix(MARK)
    except (UnicodeError, *DAMAGED) as error:
        raise unreadable(path, f"{reading.encoding.upper()} text", error, reading) from None
    try:
        if relaxed:
            return yaml.load(content.expandtabs(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return strict_json(content, finite=reading.own)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise unreadable(path, "JSON", error, reading) from None


def json_rows(path: Path, fields: Sequence[str], *, reading: Reading = PUBLISHED) -> list[dict[str, Any]]:
    """Read a JSON file that is an array of objects, or an object of objects (whose keys are ignored).

    Args:
        path: The file.
        fields: Keys to return; a value may be null, a key may not be missing.
        reading: Its encoding.

    Returns:
        One dictionary per object.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it is not JSON, is empty, or objects lack a key; names the first of them.
    """
    value = json_file(path, reading=reading)
    items: Iterable[tuple[Any, Any]] = (
        value.items() if isinstance(value, dict) else enumerate(value, 1) if isinstance(value, list) else ()
    )
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for key, item in items:
        if isinstance(item, dict):
            problems.extend(lacking_columns(f"{path}, item {key}", fields, list(item), reading))
            rows.append({field: item.get(field) for field in fields})
        else:
            problems.append(
                f"{path}, item {key}: expected a JSON object, found something else ({item!r:.40})"
            )
    refuse(first_of(problems))
    if not rows:
        raise UserError(f"{path} holds no JSON objects: {reading.way_out}")
    return rows


def first_of(problems: Sequence[str]) -> list[str]:
    """Return the first problems of many of one kind, and the number of the others."""
    left = len(problems) - SHOWN
    return [*problems[:SHOWN], *([f"… and {left} more of this kind"] if left > 0 else [])]
