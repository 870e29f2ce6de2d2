"""How the bytes of a table are read: compression and encoding."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

PACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# Raised when reading a damaged compressed file.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
UTF_8 = "utf-8"


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
    try:
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError):
        return False
    return True
