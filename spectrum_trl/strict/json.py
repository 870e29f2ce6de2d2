"""Strict JSON, for the command line, endpoints, and files of unknown origin."""

import json
import math
from pathlib import Path
from typing import Any

# Deeper values overflow the stack of recursive code.
MOST_DEPTH = 100
# Longer numbers cannot be computed with.
MOST_DIGITS = 300


def strict_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Parse JSON, rejecting repeated keys.

    Args:
        text: One JSON value; bytes are UTF-8, with or without a byte order mark.
        finite: Whether to reject NaN, Infinity and -Infinity, which Python writes but JSON does not allow.

    Raises:
        ValueError: If the text is not JSON, repeats a key, is nested more than ``MOST_DEPTH`` deep, or
            contains a number that is too large or too long.
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
    # Counting is fast, walking is not, and few texts have that many brackets.
    if text.count("[") + text.count("{") > MOST_DEPTH and _is_deep(found):
        raise ValueError("it is nested too deeply")
    return found


def read_json(path: Path, *, finite: bool = True) -> Any:
    """Read a file with one JSON value; raises OSError, and otherwise behaves like `strict_json`."""
    return strict_json(path.read_bytes(), finite=finite)


def last_json(text: str, *, first: str) -> Any:
    """Return the last JSON value in a text that begins with the given character, or None.

    Args:
        text: Any text, for example a model's answer.
        first: ``{`` or ``[``.
    """
    found, start = None, text.find(first)
    while start >= 0:
        end = start + 1
        try:
            found, end = _FINITE.raw_decode(text, start)
        except (ValueError, RecursionError):
            # A brace in prose; the value may come later.
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
    raise ValueError(f"{constant} is not valid JSON; leave the value out, or write null")


# Created once: json.loads creates a decoder at each call with hooks.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction)
_FINITE = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction, parse_constant=_refuse
)
