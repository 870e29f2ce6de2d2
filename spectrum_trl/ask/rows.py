"""Questions from a file: one a row, with the row's values in the slots of templates."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from spectrum_trl.ask.questions import Question, as_text
from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, nearest
from spectrum_trl.strict.json import read_json, strict_json
from spectrum_trl.suite.sequences.declared import columns_of

FORMATS = (".jsonl", ".json", ".csv", ".tsv")
PARTS = tuple(Question.__annotations__)
# Longer cells are refused by Python's reader by default.
LONGEST_CELL = 2**30


class Row(NamedTuple):
    """A row of a file of questions.

    Attributes:
        number: Its number, from 1, without the header.
        fields: Its values by name.
        problem: Why it cannot be read, or None.
    """

    number: int
    fields: Mapping[str, Any]
    problem: str | None = None


class Templates(NamedTuple):
    """Templates for all rows; ``{column}`` stands for the row's value.

    Attributes:
        description: Of every question, or None for the row's own.
        examples: Earlier outputs; if there are none, the row's own.
        input: Of every question, or None for the row's own.
    """

    description: str | None = None
    examples: tuple[str, ...] = ()
    input: str | None = None

    def columns(self) -> list[str]:
        """Return the columns that the templates name.

        Raises:
            UserError: If braces do not match, or hold something other than a column's name.
        """
        return columns_of([one for one in (self.description, *self.examples, self.input) if one is not None])

    def question(self, fields: Mapping[str, Any]) -> Question:
        """Return a row's question.

        Raises:
            UserError: If the row lacks a column that a template names.
        """
        if lacking := [column for column in self.columns() if column not in fields]:
            raise UserError(
                *(f"there is no column {one!r}.{nearest(one, map(str, fields))}" for one in lacking)
            )
        texts = {name: as_text(value) for name, value in fields.items()}
        found: dict[str, Any] = {name: fields[name] for name in PARTS if fields.get(name) not in (None, "")}
        if self.description is not None:
            found["description"] = _filled(self.description, texts)
        if self.examples:
            found["examples"] = [_filled(one, texts) for one in self.examples]
        if self.input is not None:
            found["input"] = _filled(self.input, texts)
        if isinstance(found.get("examples"), str):
            # A cell of a CSV file.
            found["examples"] = _listed(found["examples"], "examples")
        return Question(**found)  # type: ignore[typeddict-item]


def _filled(template: str, texts: Mapping[str, str]) -> str:
    # Not `str.format_map`, for which a column named 1 is an argument's position.
    slots = Formatter().parse(template)
    return "".join(text + (texts[name] if name is not None else "") for text, name, *_ in slots)


def answers_of(fields: Mapping[str, Any]) -> Sequence[Any] | None:
    """Return a row's own answers, a list or a cell with one in JSON, or None."""
    found = fields.get("answers")
    if found is None or found == "":
        return None
    return _listed(found, "answers") if isinstance(found, str) else found


def _listed(cell: str, name: str) -> list[Any]:
    try:
        found = strict_json(cell)
    except ValueError as error:
        raise UserError(f'{name}: expected a JSON list, such as ["a", "b"]: {error}') from error
    if not isinstance(found, list):
        raise UserError(f'{name}: expected a JSON list, such as ["a", "b"], found {cell!r:.80}')
    return found


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file: JSON Lines, a JSON list, CSV or TSV, by extension.

    Args:
        path: The file, in UTF-8.

    Raises:
        UserError: If it cannot be read at all; a row that cannot is yielded with its problem.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: expected a file that ends with {', '.join(FORMATS)}")
    readers = {".jsonl": _json_lines, ".json": _json_list}
    try:
        yield from readers.get(path.suffix.lower(), _table)(path)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8; save it as UTF-8"
        raise UserError(f"{path} cannot be read: {reason}") from error


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        number = 0
        for line in lines:
            if line.strip(b"\r\n\t \xef\xbb\xbf"):
                number += 1
                try:
                    yield _checked(number, strict_json(line))
                except ValueError as error:
                    yield Row(number, {}, str(error))


def _json_list(path: Path) -> Iterator[Row]:
    try:
        found = read_json(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    if not isinstance(found, list):
        raise UserError(f"{path}: expected a list of questions; for one object a line, name it .jsonl")
    yield from (_checked(number, one) for number, one in enumerate(found, start=1))


def _checked(number: int, found: Any) -> Row:
    if isinstance(found, dict):
        return Row(number, found)
    return Row(number, {}, f"expected an object, found {json.dumps(found)[:80]}")


def _table(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    # What is not UTF-8 becomes lone surrogates, so that only its row cannot be answered.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        number, header = 0, None
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if header is None:
                    raise UserError(f"{path}: the header cannot be read: {error}") from error
                number += 1
                yield Row(number, {}, f"line {reader.line_num}: {error}")
                continue
            if header is None:
                # A blank first line names no column.
                header = _header(cells, path) if cells else None
            elif cells:
                number += 1
                if re.search("[\ud800-\udfff]", "".join(cells)):
                    yield Row(number, {}, f"line {reader.line_num}: it is not UTF-8")
                    continue
                fits = len(cells) == len(header)
                problem = (
                    None
                    if fits
                    else f"it has {counted(len(cells), 'cell')}, but the header has {len(header)}"
                )
                yield Row(number, dict(zip(header, cells, strict=False)), problem)


def _header(cells: Sequence[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    # Raises an error if it is not UTF-8.
    "".join(names).encode()
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path}: the header names {', '.join(repeated)} more than once; rename one")
    return names
