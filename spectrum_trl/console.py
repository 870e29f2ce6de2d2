"""Console output: tables, messages, and text made safe to print."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from jinja2 import Environment

# For output to a file or a pipe, which has no width: wide enough for the tables.
WIDTH = 160
# Control characters that a terminal would obey, but tab and line feed, and the pictures (␛) shown instead.
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {
    code: 0xFFFD for code in range(0x7F, 0xA0)
}
# As torchrun and accelerate do.
LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")
SECONDS_OF_SILENCE = 10.0
Item = TypeVar("Item")


def console(*, quiet: bool = False, stderr: bool = False) -> Console:
    """Return a console for standard output or error; if ``quiet``, as on later ranks, it prints nothing."""
    # Emoji codes such as :key: may be part of a name or a text.
    return Console(quiet=quiet, stderr=stderr, emoji=False, width=None if sys.stdout.isatty() else WIDTH)


def counted(number: int, noun: str) -> str:
    """Return a number and what it counts: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def is_first_process() -> bool:
    """Return whether this process reports for all of a launch, which needs no library to know."""
    # A shell may have left RANK behind, alone or with others; a launcher sets all of these.
    launched = all(name in os.environ for name in LAUNCHED)
    return not launched or os.environ["RANK"] == "0"


def quiet_libraries() -> None:
    """Silence irrelevant messages that libraries print at every start; call this before importing them."""
    # bitsandbytes lacks an optional CPU kernel for 4-bit weights, and says so whenever peft is imported.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    # accelerate lists the options that were not passed; a recipe sets them in its own fields.
    logging.getLogger("accelerate.commands.launch").addFilter(
        lambda record: "values were not passed" not in record.getMessage()
    )
    # peft calls a property that transformers will remove.
    warnings.filterwarnings(
        "ignore", message=".is_gradient_checkpointing. is deprecated", category=FutureWarning
    )


def visible(text: str) -> str:
    """Replace control characters in text by their pictures, so a terminal shows them instead of obeying."""
    return text.translate(PICTURES)


def plain(text: str) -> str:
    """Escape text from users or data for a table or message with markup, where it is shown literally."""
    return escape(visible(text))


def html_templates(package: str) -> "Environment":
    """Return an environment for the HTML templates of a package, in which every text is shown literally."""
    # Most commands write no HTML.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # HTML has no control characters, and an unpaired surrogate has no encoding.
        finalize=lambda value: encoded(visible(value)).decode() if type(value) is str else value,
    )


def encoded(text: str) -> bytes:
    """Return a text in UTF-8, with a question mark for each unpaired surrogate."""
    return text.encode("utf-8", "replace")


def on_terminal() -> bool:
    """Return whether standard error, where progress bars are drawn, is a terminal."""
    return sys.stderr.isatty()


def spoken(items: Sequence[Item], *, what: str) -> Iterator[Item]:
    """Yield items, printing progress of ``what`` to standard error every ten seconds."""
    last = time.monotonic()
    for n, item in enumerate(items):
        if time.monotonic() - last > SECONDS_OF_SILENCE:
            last = time.monotonic()
            print(f"{what}, {n:,} of {len(items):,}", file=sys.stderr, flush=True)
        yield item
