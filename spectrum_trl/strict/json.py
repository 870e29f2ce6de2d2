"""JSON read strictly: from the command line, endpoints, and files that somebody else may have written."""

import json
import math
from pathlib import Path
from typing import Any

# Deeper values overflow the stack of whoever walks them.
MOST_DEPTH = 100
# More digits are no number any more for those who calculate with it.
MOST_DIGITS = 300


def strict_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Parse JSON whose objects name each key once.

    Args:
        text: One JSON value; bytes are UTF-8, with or without a byte order mark.
        finite: Whether to refuse the NaN, Infinity and -Infinity that Python writes, which are no JSON.

    Raises:
        ValueError: If it is no JSON, repeats a key, is nested more than ``MOST_DEPTH`` deep, or holds a
            number that is too large, or too long to read.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        found = (_FINITE if finite else _DECODER).decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    # To count is fast, to walk is not; few texts have so many brackets.
    if text.count("[") + text.count("{") > MOST_DEPTH and _is_deep(found):
        raise ValueError("it is nested too deeply")
    return found


def read_json(path: Path, *, finite: bool = True) -> Any:
    """Read a file of one JSON value; arguments and errors as for `strict_json`, and OSError."""
    return strict_json(path.read_bytes(), finite=finite)


def last_json(text: str, *, first: str) -> Any:
    """Return the last value in a text that begins with a character and is JSON; None where there is none.

    Args:
        text: For example of a model.
        first: ``{`` or ``[``.
    """
    found, start = None, text.find(first)
    while start >= 0:
        end = start + 1
        try:
            found, end = _FINITE.raw_decode(text, start)
        except (ValueError, RecursionError):
            # Braces of a sentence; the value may come later.
            pass
        start = text.find(first, end)
    return found


def _is_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth > MOST_DEPTH + 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)[:60]!r} is repeated")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError("it holds a number too long to read")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > MOST_DIGITS:
        raise ValueError("it holds a number too long to read")
    if math.isinf(number := float(digits)):
        raise ValueError(f"the number {digits} is too large")
    return number


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON; leave the value out, or write null")


# Made once: json.loads makes one at each call that names a hook.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction)
_FINITE = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction, parse_constant=_refuse
)
