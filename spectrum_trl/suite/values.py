"""Cells of tables as texts: one value is one text, whatever kind of file or column it comes from."""

import datetime
import decimal
import json
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from spectrum_trl.errors import UserError

# Beyond it a column of fractions does not hold every whole number.
LARGEST_WHOLE = 2**53
WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+?)?\.?0*")


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
    """Return what names and labels are compared by: ``1`` is also written ``1.0``, ``true`` ``True``.

    Args:
        name: Of a person, a question, a label: the text of a cell.
    """
    if found := WHOLE.fullmatch(name):
        return "0" if found[1] == "-0" else found[1]
    if name.lower() in ("true", "false"):
        return name.lower()
    if found := TIME.fullmatch(name):
        day, time, rest = found[1], found[2], (found[3] or "").rstrip("0").rstrip(".")
        return day if time == "00:00:00" and not rest else f"{day}T{time}{rest}"
    return name
