"""Track the quoted cells of a CSV file while pyarrow reads it, which reports neither lines nor open quotes.

A quotation mark opens a cell only at the cell's beginning; inside one, two of them stand for one.
"""

import io
import re
from collections.abc import Container
from pathlib import Path
from typing import IO, Any

from spectrum_trl.errors import UserError

MARK = b'"'
REST = rb'[^"]*+(?:""[^"]*+)*+("?)'
READ_BYTES = 2**20


class Quotes:
    """Tracks whether the part of a file read so far ends inside a quoted cell.

    Attributes:
        inside: Whether it does.
        line: Line that opened the cell, counted from 1.
    """

    def __init__(self, delimiter: str) -> None:
        """Set the delimiter of cells."""
        self.inside, self.line, self._lines = False, 0, 0
        begins = rb"\A(?:\xef\xbb\xbf)?|[\r\n" + re.escape(delimiter.encode()) + rb"]"
        # The last group is empty if the cell is not closed.
        self._cell = re.compile(b"(?:" + begins + b")" + MARK + REST)

    def follow(self, lines: bytes) -> None:
        """Read the next whole lines."""
        found = re.match(REST, lines) if self.inside else None
        if found:
            self.inside = not found[1]
        place = found.end() if found else 0
        while not self.inside and (found := self._cell.search(lines, place)):
            place = found.end()
            if not found[1]:
                self.inside = True
                self.line = self._lines + _breaks(lines[: lines.index(MARK, found.start())]) + 1
        self._lines += _breaks(lines)


class Watched(io.RawIOBase):
    """A CSV file whose quoted cells are tracked while it is read."""

    def __init__(self, file: IO[bytes], delimiter: str) -> None:
        """Set the file and its delimiter."""
        self._file, self._rest, self._quotes = file, b"", Quotes(delimiter)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        found = self._file.read(size)
        lines = self._rest + found
        cut = max(lines.rfind(b"\n"), lines.rfind(b"\r")) + 1
        self._quotes.follow(lines[:cut])
        self._rest = lines[cut:]
        return found

    def readable(self) -> bool:
        """Return True: the file can be read."""
        return True

    def check_closed_quotes(self, path: Path) -> None:
        """Read the rest of the file, and raise a ``UserError`` if it ends inside a quoted cell."""
        while self.read(READ_BYTES):
            pass
        self._quotes.follow(self._rest)
        if self._quotes.inside:
            raise UserError(
                f"{path}, line {self._quotes.line}: a quotation mark opens a cell that is never closed, so "
                "all rows below would be part of it. Close it; to write a quotation mark inside a text, "
                "double it and quote the text"
            )


def lines_of(file: Any, records: Container[int], *, n: int, delimiter: str) -> list[int]:
    """Return the line numbers on which rows begin.

    Args:
        file: A CSV file, at its beginning.
        records: Row numbers, counted from 1 with the header and without empty lines.
        n: How many rows to look for.
        delimiter: Delimiter of cells.
    """
    quotes, number, record, found = Quotes(delimiter), 0, 0, list[int]()
    for text in file:
        for line in text.splitlines(keepends=True):
            number += 1
            if not quotes.inside and line.strip(b"\r\n"):
                record += 1
                found += [number] * (record in records)
            quotes.follow(line)
        if len(found) >= n:
            break
    return found[:n]


def _breaks(lines: bytes) -> int:
    return lines.count(b"\n") or lines.count(b"\r")
