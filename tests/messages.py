"""What a message names, whatever its sentences say."""

import re


def naming(*things: object) -> str:
    """Return a pattern, as for ``match=``: one line of a message names all these things, in any order.

    A thing is a file, key, number, option, or the word of a fact; ``naming(2)`` does not find 12, nor 2.5.
    """
    return "(?m)^" + "".join(f"(?=.*{_whole(str(thing))})" for thing in things)


def _whole(thing: str) -> str:
    before = r"(?<![\w])(?<!\d[.,])" if thing[0].isalnum() else ""
    after = r"(?![\w])(?![.,]\d)" if thing[-1].isalnum() else ""
    return before + re.escape(thing) + after


def named(text: str, *things: object) -> bool:
    """Return whether one line of a text names all these things."""
    return re.search(naming(*things), text) is not None
