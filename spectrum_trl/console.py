"""Where tables and messages are printed."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

# Wide enough for the tables where output goes to a file or a pipe, which has no width of its own.
WIDTH = 160
# Control characters but tab and line feed, which a terminal would obey, as their pictures (␛ for escape).
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {
    code: 0xFFFD for code in range(0x7F, 0xA0)
}


SECONDS_OF_SILENCE = 10.0
Item = TypeVar("Item")


def console(*, quiet: bool = False, stderr: bool = False) -> Console:
    """Return a console for standard output.

    Args:
        stderr: Whether to print to standard error.
        quiet: Whether to print nothing, as all processes but the first should.
    """
    # Emoji codes, as :key:, may be part of a name or a text.
    return Console(quiet=quiet, stderr=stderr, emoji=False, width=None if sys.stdout.isatty() else WIDTH)


def quiet_libraries() -> None:
    """Silence what libraries print at each start about what nobody asked for; before they are imported."""
    # That bitsandbytes lacks an optional kernel for 4-bit weights on a CPU, told wherever peft is imported.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def visible(text: str) -> str:
    """Return text that a terminal only shows: no control character of it is obeyed."""
    return text.translate(PICTURES)


def plain(text: str) -> str:
    """Return text of users or of data for a table or a message with markup, in which it is shown as it is."""
    return escape(visible(text))


def on_terminal() -> bool:
    """Tell whether bars can be drawn: they are written to standard error."""
    return sys.stderr.isatty()


def spoken(items: Sequence[Item], *, what: str) -> Iterator[Item]:
    """Yield items, and print to standard error every ten seconds how many are done.

    Args:
        items: What takes long.
        what: What is done, in a few words.
    """
    last = time.monotonic()
    for n, item in enumerate(items):
        if time.monotonic() - last > SECONDS_OF_SILENCE:
            last = time.monotonic()
            print(f"{what}, {n:,} of {len(items):,}", file=sys.stderr, flush=True)
        yield item
