"""What is wrong with a table, and what to do about it."""

import codecs
from collections.abc import Sequence
from pathlib import Path

from spectrum_trl.console import visible
from spectrum_trl.errors import MissingData, UserError, nearest
from spectrum_trl.suite.reading.encoding import PUBLISHED, UTF_8, Reading, opened

# Longest first: UTF-32's mark begins with UTF-16's.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Bytes to guess an encoding from.
SAMPLE = 2**20
DELIMITERS = ",;\t|"
# Maximum columns, and characters of a column's name, in a message.
MOST_NAMES, MOST_SHOWN = 20, 100


def unreadable(path: Path, expected: str, error: Exception, reading: Reading = PUBLISHED) -> UserError:
    """Return the error to raise for a file that cannot be read in the expected format."""
    if isinstance(error, FileNotFoundError):
        return MissingData(f"{path} does not exist: put the file there, or point the data folder elsewhere")
    if path.is_dir():
        return UserError(f"{path} is a folder; a file is expected there")
    if isinstance(error, OSError) and error.strerror:
        return UserError(f"{path} cannot be read: {error.strerror}")
    reason = " ".join(str(error).removeprefix("not valid JSON: ").split())
    way_out = (_encoding_hint(path, reading) if isinstance(error, UnicodeError) else "") or reading.way_out
    return UserError(f"{path} is not valid {expected} ({reason}): {way_out}")


def _encoding_hint(path: Path, reading: Reading) -> str:
    """Return how to declare the encoding of a user's file that is not in the declared one."""
    if not reading.own:
        return ""
    with opened(path, "rb") as file:
        head = file.read(SAMPLE)
    if begins := next((name for mark, name in MARKS.items() if head.startswith(mark)), ""):
        return f"set its encoding, as in `encoding: {begins}`"
    if reading.encoding != UTF_8 and _is_utf_8(head):
        return "it is UTF-8: leave `encoding` out"
    return "set its encoding, as in `encoding: cp1252`, or save it as UTF-8"


def _is_utf_8(head: bytes) -> bool:
    try:
        # The last character may be incomplete.
        codecs.getincrementaldecoder(UTF_8)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def delimiter_hint(columns: list[str], header: list[str], *, used: str) -> str:
    """Return which delimiter to set if another one than ``used`` yields all columns, else an empty text."""
    line = used.join(header)
    for other in DELIMITERS:
        found = [name.strip().strip('"') for name in line.split(other)]
        if other != used and set(columns) <= set(found):
            shown = "\\t" if other == "\t" else other
            return f'its cells are separated by {shown!r}: set `delimiter: "{shown}"`'
    return ""


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
        f"It has: {names_of(present)}. {'C' if reading.own else 'Fetch the file again, or c'}orrect the name"
        for column in columns
        if column not in present
    ]


def names_of(columns: Sequence[str]) -> str:
    """Return the names of columns for a message, the first ones if there are many."""
    more = f" and {len(columns) - MOST_NAMES} more" if len(columns) > MOST_NAMES else ""
    return ", ".join(map(_shown, columns[:MOST_NAMES])) + more


def _shown(name: str) -> str:
    return visible(name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…")
