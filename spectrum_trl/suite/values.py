"""Cells of tables as texts: one value is one text, whatever kind of file or column it comes from."""

import datetime
import decimal
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import pandas as pd

from spectrum_trl.errors import UserError

# Beyond it a column of fractions does not hold every whole number.
LARGEST_WHOLE = 2**53
# Numbers with a point, as columns of fractions are written.
POINTED = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}[T ]([0-9]{2}:){2}[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?")


def text(value: Any) -> str:
    """Return a cell as the text of a turn.

    Args:
        value: A text, a number, a truth value, a list or mapping of them, or a missing value.

    Returns:
        A text stripped of white space around it, of NUL characters and of broken surrogates; a whole number
        without a fraction and a day without a time, whatever column the file keeps them in; anything else
        as JSON; an empty text for a missing value (None, NaN).
    """
    if not isinstance(value, str):
        if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
            return ""
        if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_WHOLE:
            value = int(value)
        plain = value if _is_json(value) else _plain(value)
        value = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, default=_plain)
    return clean(value).strip()


def clean(value: str) -> str:
    """Return a text without NUL characters and broken surrogates, which no file can hold."""
    return value.encode("utf-8", "ignore").decode("utf-8").replace("\0", "")


def as_json(fields: Mapping[str, Any]) -> str:
    """Return the fields that hold something as a JSON object, in their order; an empty text if none does."""
    present = {
        key: text(value) if isinstance(value, str) else value for key, value in fields.items() if text(value)
    }
    return json.dumps(present, ensure_ascii=False, default=_plain) if present else ""


def _is_json(value: Any) -> bool:
    return isinstance(value, bool | int | float | list | tuple | Mapping)


def _plain(value: Any) -> Any:
    """Return the text of what parquet has and JSON has not: dates as ISO 8601, decimal numbers as written."""
    if isinstance(value, datetime.datetime) and value.tzinfo is None and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    raise UserError(
        f"a cell holds {type(value).__name__}: expected a text, a number, a date, or a list of them"
    )


def canonical(name: str) -> str:
    """Return what names and labels are compared by, however a file writes them.

    ``1`` is also written ``1.0``, ``0.5`` ``0.50``, ``true`` ``True``, a moment with another zone, and an
    accent as a character of its own.

    Args:
        name: Of a person, a question, a label: the text of a cell.
    """
    if POINTED.fullmatch(name):
        short = name.rstrip("0").rstrip(".")
        return "0" if short == "-0" else short
    if name.lower() in ("true", "false"):
        return name.lower()
    if TIME.fullmatch(name):
        return _moment(name)
    return unicodedata.normalize("NFC", name)


def group_problem(cell: Any, *, first: str) -> str | None:
    """Return why a cell cannot name a group, where people would be taken for one another.

    Args:
        cell: As the file has it.
        first: Text of the first cell that `canonical` takes for the same.
    """
    if isinstance(cell, float) and abs(cell) > LARGEST_WHOLE:
        return f"holds {cell:g} as a fraction, too large to tell it from its neighbours: save it as text"
    name = text(cell)
    if (
        name != first
        and POINTED.fullmatch(name)
        and POINTED.fullmatch(first)
        and not float(name).is_integer()
    ):
        return f"holds both {first!r} and {name!r}, one number: write them alike, or with a letter before"
    return None


def _moment(name: str) -> str:
    """Return a day, or a time of a day, in UTC where the text names a zone; no moment stays as it is."""
    try:
        moment = datetime.datetime.fromisoformat(name)
    except ValueError:
        return name
    if moment.tzinfo:
        moment = moment.astimezone(datetime.UTC)
    elif moment.time() == datetime.time():
        return moment.date().isoformat()
    return moment.isoformat()
