"""How the bytes of a table are read: packing, encoding, and what helps where it is broken."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow

PACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# What reading a packed file that is damaged raises.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
UTF_8 = "utf-8"
# The longer first: UTF-32's mark begins with UTF-16's.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Bytes that tell an encoding.
SAMPLE = 2**20
DELIMITERS = ",;\t|"


class Reading(NamedTuple):
    """How a table is read.

    Attributes:
        delimiter: What separates the cells of CSV, one character; None for what the file's ending says.
        encoding: Of the file's text.
        way_out: What to do where it cannot be read.
        own: Whether it is the user's own file, of which ``delimiter`` and ``encoding`` are keys.
    """

    delimiter: str | None = None
    encoding: str = UTF_8
    way_out: str = "fetch it again"
    own: bool = False


PUBLISHED = Reading()


def opened(path: Path, *, encoding: str = UTF_8) -> IO[bytes]:
    """Return the bytes of a file in UTF-8, unpacked where its ending says that they are packed."""
    stream = PACKERS.get(path.suffix, open)(path, "rb")
    if encoding == UTF_8:
        return stream
    return io.BufferedReader(_Recoded(stream, encoding))


def reading_of(delimiter: str | None, encoding: str, *, web: bool) -> Reading:
    """Return how a user's own file is read, by the keys of its YAML file."""
    encoding = UTF_8 if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig") else encoding
    return Reading(delimiter, encoding, "fetch it again" if web else "correct it", own=True)


def reading_problems(delimiter: str | None, encoding: str, *, file: str) -> Iterator[str]:
    """Yield what is wrong with the keys that say how a user's own file is read."""
    name = next((file.removesuffix(end) for end in PACKERS if file.endswith(end)), file).lower()
    if delimiter is not None and not name.endswith((".csv", ".tsv")):
        yield "delimiter: only cells of CSV and TSV are separated by one; leave it out"
    if delimiter is not None and (len(delimiter.encode()) != 1 or delimiter in '"\r\n\0'):
        yield f'delimiter: expected one ASCII character, such as ";" or "\\t", found {delimiter!r}'
    if not is_encoding(encoding):
        yield f"encoding: Python knows no encoding {encoding[:40]!r} of texts; try utf-8 or cp1252"
    elif name.endswith(".parquet") and encoding != UTF_8:
        yield "encoding: texts in parquet are UTF-8; leave it out"


def is_encoding(name: str) -> bool:
    """Tell whether a name is that of an encoding of texts."""
    try:
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError):
        return False
    return True


def encoding_hint(path: Path, reading: Reading) -> str:
    """Return how to say which encoding a user's own file has, where it is another than was said."""
    if not reading.own:
        return ""
    with opened(path) as file:
        head = file.read(SAMPLE)
    if begins := next((name for mark, name in MARKS.items() if head.startswith(mark)), ""):
        return f"give its encoding, as in `encoding: {begins}`"
    if reading.encoding != UTF_8 and _is_utf_8(head):
        return "it is UTF-8: leave `encoding` out"
    return "give its encoding, as in `encoding: cp1252`, or save it as UTF-8"


def _is_utf_8(head: bytes) -> bool:
    try:
        # The last character may be cut.
        codecs.getincrementaldecoder(UTF_8)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def delimiter_hint(columns: list[str], header: list[str], *, used: str) -> str:
    """Return what separates the cells of a header, where another delimiter gives all columns."""
    line = used.join(header)
    for other in DELIMITERS:
        found = [name.strip().strip('"') for name in line.split(other)]
        if other != used and set(columns) <= set(found):
            shown = "\\t" if other == "\t" else other
            return f'its cells are separated by {shown!r}: give `delimiter: "{shown}"`'
    return ""


def shortened(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    """Return a part of a table whose numbers of 16 or 32 bits have the digits that they are written with."""
    for place, field in enumerate(batch.schema):
        if pyarrow.types.is_float16(field.type) or pyarrow.types.is_float32(field.type):
            digits = batch.column(place).cast(pyarrow.float32()).cast(pyarrow.string())
            batch = batch.set_column(place, field.name, digits.cast(pyarrow.float64()))
    return batch


class _Recoded(io.RawIOBase):
    """A file in another encoding, read as UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding, newline="")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._text.read(len(buffer)).encode("utf-8")
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._text.close()
        super().close()
