"""Convert table cells to text: equal values give equal texts, whatever the file format or column type."""

import datetime
import decimal
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from spectrum_trl.errors import UserError

# Above this, floats cannot represent every whole number.
LARGEST_WHOLE = 2**53
# Numbers with a decimal point, as float columns are written.
POINTED = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}[T ]([0-9]{2}:){2}[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?")


def text(value: Any) -> str:
    """Return a cell as the text of a turn.

    Args:
        value: A string, a number, a boolean, a list or mapping of them, or a missing value.

    Returns:
        The text without surrounding white space, NUL characters and lone surrogates; whole numbers without
        a fraction and days without a time, whatever the column type; anything else as JSON; an empty string
        for a missing value (None, NaN).
    """
    if not isinstance(value, str):
        # NaN and a missing date differ from themselves.
        if value is None or (not isinstance(value, list | tuple | Mapping) and value != value):
            return ""
        if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_WHOLE:
            value = int(value)
        plain = value if isinstance(value, bool | int | float | list | tuple | Mapping) else _plain(value)
        value = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, default=_plain)
    return clean(value).strip()


def clean(value: str) -> str:
    """Return a text without NUL characters and lone surrogates, which files cannot hold."""
    return value.encode("utf-8", "ignore").decode("utf-8").replace("\0", "")


def as_json(fields: Mapping[str, Any]) -> str:
    """Return the non-empty fields as a JSON object, in order, or an empty string if all are empty."""
    present = {
        key: text(value) if isinstance(value, str) else value for key, value in fields.items() if text(value)
    }
    return json.dumps(present, ensure_ascii=False, default=_plain) if present else ""


def _plain(value: Any) -> Any:
    """Convert types that parquet has but JSON lacks: dates as ISO 8601, decimal numbers as written."""
    if isinstance(value, datetime.datetime) and value.tzinfo is None and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    raise UserError(
        f"a cell holds {type(value).__name__}: expected text, a number, a date, or a list of them"
    )


def canonical(name: str) -> str:
    """Return the canonical form of a name or label, by which cells are compared.

    Files may write ``1`` as ``1.0``, ``0.5`` as ``0.50``, ``true`` as ``True``, a time in another time zone,
    and an accent as a combining character.

    Args:
        name: The text of a cell that names a person, a question or a label.
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
    """Return why a cell cannot name a group, if groups would be confused with one another.

    Args:
        cell: The value in the file.
        first: Text of the first cell with the same `canonical` form.
    """
    if isinstance(cell, float) and abs(cell) > LARGEST_WHOLE:
        return f"holds {cell:g} as a float, too large to be exact: save it as text"
    name = text(cell)
    if (
        name != first
        and POINTED.fullmatch(name)
        and POINTED.fullmatch(first)
        and not float(name).is_integer()
    ):
        return f"holds both {first!r} and {name!r}, the same number: write them alike, or add a letter"
    return None


def _moment(name: str) -> str:
    """Return a date or time in ISO 8601, in UTC if it has a time zone; other texts unchanged."""
    try:
        moment = datetime.datetime.fromisoformat(name)
    except ValueError:
        return name
    if moment.tzinfo:
        moment = moment.astimezone(datetime.UTC)
    elif moment.time() == datetime.time():
        return moment.date().isoformat()
    return moment.isoformat()
