"""JSON read strictly: from the command line, and from the user's own files."""

import json
from typing import Any


def strict_json(text: str) -> Any:
    """Parse JSON whose objects name each key once.

    Args:
        text: One JSON value.

    Raises:
        ValueError: If it is no JSON, repeats a key, is nested too deeply, or holds a number too long to read.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        # Python's own limit on the digits of a whole number.
        if "digits" in str(error):
            raise ValueError("it holds a number too long to read") from error
        raise


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
            found, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            # Braces of a sentence; the value may come later.
            pass
        start = text.find(first, end)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is repeated")
    return found


# Made once: json.loads makes one at each call that names a hook.
_DECODER = json.JSONDecoder(object_pairs_hook=_object)
