"""Read the tables of the data folder: a mismatch is one clear error, never a silent change.

Cells keep the file's text unchanged: ``NA`` is a word and ``007`` keeps its zeros, unless a column is
declared to hold integers. A byte order mark, CRLF line ends and line breaks inside quotes are handled.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import yaml

from spectrum_trl.console import visible
from spectrum_trl.errors import MissingData, UserError, nearest
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.reading.encoding import (
    DAMAGED,
    PUBLISHED,
    Reading,
    encoding_hint,
    opened,
    own_batches,
)

SHOWN = 3
# Maximum columns, and characters of a column's name, in a message.
MOST_NAMES, MOST_SHOWN = 20, 100
RAGGED = "a row has more fields than the header (an unquoted comma, or a comma at the end of every row)"


def csv_table(
    path: Path,
    columns: Sequence[str],
    *,
    header: bool = True,
    whole: Sequence[str] = (),
    encoding: str = "utf-8-sig",
) -> pd.DataFrame:
    """Read a CSV file.

    Args:
        path: The file.
        columns: Columns to return, in this order; without a header, the names of all columns of the file.
        header: Whether the first row holds the names (surrounding white space is ignored).
        whole: Columns of whole numbers, returned as 64-bit integers; all others are returned as text.
        encoding: The file's encoding.

    Returns:
        One row per record; empty cells, and those missing from short rows, are empty strings.

    Raises:
        MissingData: If the file does not exist.
        UserError: If the file is empty, malformed or in another encoding, lacks a column, or has something
            other than a whole number in a column of them.
    """
    try:
        frame = pd.read_csv(
            path,
            dtype=str,
            na_filter=False,
            header=0 if header else None,
            encoding=encoding,
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        raise UserError(f"{path} is empty: fetch it again") from None
    except (pd.errors.ParserError, UnicodeDecodeError, OSError) as error:
        raise unreadable(path, "CSV", error) from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise UserError(f"{path} is not the expected CSV table: {RAGGED}; fetch it again")
    if not header:
        if frame.shape[1] != len(columns):
            raise UserError(
                f"{path} has {frame.shape[1]} columns, expected {len(columns)} ({', '.join(columns)}): "
                "fetch it again"
            )
        frame.columns = pd.Index(columns)
    frame.columns = frame.columns.str.strip()
    if lacking := lacking_columns(str(path), columns, frame.columns.tolist()):
        raise UserError(*lacking)
    if frame.empty:
        raise UserError(f"{path} has a header but no rows: fetch it again")
    return _whole_numbers(frame[list(columns)], whole, path=path)


def csv_rows(
    path: Path,
    columns: Sequence[str],
    *,
    header: bool = True,
    whole: Sequence[str] = (),
    encoding: str = "utf-8-sig",
) -> list[dict[str, Any]]:
    """Read a CSV file as one dictionary per row; arguments and errors as for `csv_table`."""
    table = csv_table(path, columns, header=header, whole=whole, encoding=encoding)
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*(table[name].tolist() for name in columns), strict=True)
    ]


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
    content = _content(path, reading)
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
    items = (
        value.items() if isinstance(value, dict) else enumerate(value, 1) if isinstance(value, list) else ()
    )
    return _objects(path, ((f"item {key}", item) for key, item in items), fields, reading)


def jsonl_rows(path: Path, fields: Sequence[str], *, reading: Reading = PUBLISHED) -> list[dict[str, Any]]:
    """Read a file with one JSON object per line.

    Args:
        path: The file; blank lines are skipped.
        fields: Keys to return; a value may be null, a key may not be missing.
        reading: Its encoding.

    Returns:
        One dictionary per line.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it is empty, or lines are not JSON objects with these keys; names the first of them.
    """
    return _objects(path, _lines(path, reading), fields, reading)


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
            for batch in own_batches(batches, path) if reading.own else batches:
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(path, "parquet", error, reading) from None


def _lines(path: Path, reading: Reading) -> Iterator[tuple[str, Any]]:
    # Not str.splitlines: it also breaks at characters that JSON strings may hold, such as U+2028.
    for number, line in enumerate(_content(path, reading).split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", strict_json(line, finite=reading.own)
            except ValueError as error:
                yield f"line {number}", error


def _objects(
    path: Path, items: Iterable[tuple[str, Any]], fields: Sequence[str], reading: Reading
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for place, item in items:
        if isinstance(item, dict):
            problems.extend(lacking_columns(f"{path}, {place}", fields, list(item), reading))
            rows.append({field: item.get(field) for field in fields})
        else:
            found = str(item) if isinstance(item, ValueError) else f"{item!r:.40}"
            problems.append(f"{path}, {place}: expected a JSON object, found something else ({found})")
    if problems:
        raise UserError(*problems[:SHOWN], *_more(problems))
    if not rows:
        raise UserError(f"{path} holds no JSON objects: {reading.way_out}")
    return rows


def _content(path: Path, reading: Reading) -> str:
    try:
        with opened(path, encoding=reading.encoding) as file:
            return file.read().decode("utf-8-sig")
    except (UnicodeDecodeError, *DAMAGED) as error:
        raise unreadable(path, f"{reading.encoding.upper()} text", error, reading) from None


def unreadable(path: Path, expected: str, error: Exception, reading: Reading = PUBLISHED) -> UserError:
    """Return the error to raise for a file that cannot be read in the expected format."""
    if isinstance(error, FileNotFoundError):
        return MissingData(f"{path} does not exist: put the file there, or point the data folder elsewhere")
    if path.is_dir():
        return UserError(f"{path} is a folder; a file is expected there")
    if isinstance(error, OSError) and error.strerror:
        return UserError(f"{path} cannot be read: {error.strerror}")
    reason = " ".join(str(error).removeprefix("not valid JSON: ").split())
    text = isinstance(error, UnicodeError) or "UTF8" in reason
    way_out = (encoding_hint(path, reading) if text else "") or reading.way_out
    return UserError(f"{path} is not valid {expected} ({reason}): {way_out}")


def _more(problems: Sequence[object]) -> list[str]:
    left = len(problems) - SHOWN
    return [f"… and {left} more of this kind"] if left > 0 else []


def column_problems(
    place: str, columns: Sequence[str], present: Sequence[str], reading: Reading = PUBLISHED
) -> list[str]:
    """Return a problem for each column that is missing or repeated."""
    return lacking_columns(place, columns, present, reading) + [
        f"{place} has {present.count(column)} columns {column!r}: rename all but one of them"
        for column in columns
        if present.count(column) > 1
    ]


def lacking_columns(
    place: str, columns: Sequence[str], present: Sequence[str], reading: Reading = PUBLISHED
) -> list[str]:
    """Return a problem for each missing column, with the nearest name and all names present."""
    return [
        f"{place} has no column {_shown(column)!r}.{visible(nearest(column, present)[:MOST_SHOWN])} "
        f"It has: {_names(present)}. {'C' if reading.own else 'Fetch the file again, or c'}orrect the name"
        for column in columns
        if column not in present
    ]


def _names(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - MOST_NAMES} more" if len(columns) > MOST_NAMES else ""
    return ", ".join(map(_shown, columns[:MOST_NAMES])) + more


def _shown(name: str) -> str:
    return visible(name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…")


def _whole_numbers(frame: pd.DataFrame, columns: Sequence[str], *, path: Path) -> pd.DataFrame:
    problems: list[str] = []
    for column in columns:
        # Eighteen digits always fit into 64 bits.
        wrong = frame.index[~frame[column].str.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*")]
        problems.extend(
            f"{path}, row {row + 1}, column {column!r}: expected a whole number, found {value!r}"
            for row, value in frame.loc[wrong, column].items()
        )
    if problems:
        raise UserError(*problems[:SHOWN], *_more(problems))
    return frame.astype(dict.fromkeys(columns, "int64"))
