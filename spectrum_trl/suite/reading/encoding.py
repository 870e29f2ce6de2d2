"""How the bytes of a table are read: compression, encoding, and hints for unreadable files."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow
import pyarrow.compute

from spectrum_trl.console import visible
from spectrum_trl.errors import UserError

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
# Bytes to guess an encoding from.
SAMPLE = 2**20
DELIMITERS = ",;\t|"


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


def opened(path: Path, *, encoding: str = UTF_8) -> IO[bytes]:
    """Open a file as UTF-8 bytes, decompressed according to its extension."""
    stream = PACKERS.get(path.suffix, open)(path, "rb")
    if encoding == UTF_8:
        return stream
    return io.BufferedReader(_Recoded(stream, encoding))


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
    if not is_encoding(encoding):
        yield f"encoding: Python has no text encoding {encoding[:40]!r}; try utf-8 or cp1252"
    elif name.endswith(".parquet") and encoding != UTF_8:
        yield "encoding: text in parquet is UTF-8; leave it out"


def is_encoding(name: str) -> bool:
    """Return whether a name is that of a text encoding."""
    try:
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError):
        return False
    return True


def encoding_hint(path: Path, reading: Reading) -> str:
    """Return how to declare the encoding of a user's file that is not in the declared one."""
    if not reading.own:
        return ""
    with opened(path) as file:
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


def own_batches(batches: Iterable[pyarrow.RecordBatch], path: Path) -> Iterator[pyarrow.RecordBatch]:
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
