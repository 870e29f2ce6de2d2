"""How the bytes of a table are read, and what to do about a table that cannot be."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from spectrum_trl.console import visible
from spectrum_trl.errors import MissingData, UserError, nearest

PACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# Raised when reading a damaged compressed file.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
UTF_8 = "utf-8"
# Longest first: UTF-32's mark begins with UTF-16's.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Bytes to guess an encoding from, and how many are read at a time.
SAMPLE, PIECE = 2**20, 2**12
DELIMITERS = ",;\t|"
# Maximum columns, and characters of a column's name, in a message.
MOST_NAMES, MOST_SHOWN = 20, 100


class Reading(NamedTuple):
    """How a table is read.

    Attributes:
        delimiter: Delimiter of CSV cells, one character; None to decide by the file extension.
        encoding: Encoding of the file's text.
        way_out: What to do if it cannot be read.
        own: Whether it is the user's file, whose YAML has the keys ``delimiter`` and ``encoding``.
    """

    delimiter: str | None = None
    encoding: str = UTF_8
    way_out: str = "fetch it again"
    own: bool = False


PUBLISHED = Reading()


def opened(path: Path, mode: str = "rt", **options: Any) -> IO[Any]:
    """Open a file, decompressed according to its extension; options as for ``open``."""
    return PACKERS.get(path.suffix, open)(path, mode, **options)


def reading_of(delimiter: str | None, encoding: str, *, web: bool) -> Reading:
    """Return how to read a user's file, given the keys of its YAML file."""
    encoding = UTF_8 if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig") else encoding
    return Reading(delimiter, encoding, "fetch it again" if web else "correct it", own=True)


def reading_problems(delimiter: str | None, encoding: str, *, file: str) -> Iterator[str]:
    """Yield the problems with the keys that say how to read a user's file."""
    name = next((file.removesuffix(end) for end in PACKERS if file.endswith(end)), file).lower()
    if delimiter is not None and not name.endswith((".csv", ".tsv")):
        yield "delimiter: only CSV and TSV files have one; leave it out"
    if delimiter is not None and (len(delimiter.encode()) != 1 or delimiter in '"\r\n\0'):
        yield f'delimiter: expected one ASCII character, such as ";" or "\\t", found {delimiter!r}'
    if not _is_encoding(encoding):
        yield f"encoding: Python has no text encoding {encoding[:40]!r}; try utf-8 or cp1252"
    elif name.endswith(".parquet") and encoding != UTF_8:
        yield "encoding: text in parquet is UTF-8; leave it out"


def _is_encoding(name: str) -> bool:
    with suppress(LookupError, ValueError):
        "a".encode(name)
        return True
    return False


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
    head = b""
    # It may be damaged as well; what comes before the damage tells enough.
    with suppress(*DAMAGED), opened(path, "rb") as file:
        while len(head) < SAMPLE and (piece := file.read(PIECE)):
            head += piece
    if begins := next((name for mark, name in MARKS.items() if head.startswith(mark)), ""):
        return f"set its encoding, as in `encoding: {begins}`"
    if reading.encoding != UTF_8 and _is_utf_8(head):
        return "it is UTF-8: leave `encoding` out"
    return "set its encoding, as in `encoding: cp1252`, or save it as UTF-8"


def _is_utf_8(head: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        # The last character may be incomplete.
        codecs.getincrementaldecoder(UTF_8)().decode(head)
        return True
    return False


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
