"""Where tables and messages are printed."""

import sys

from rich.console import Console

# Wide enough for the tables where output goes to a file or a pipe, which has no width of its own.
WIDTH = 160


def console(*, quiet: bool = False, stderr: bool = False) -> Console:
    """Return a console for standard output.

    Args:
        stderr: Whether to print to standard error.
        quiet: Whether to print nothing, as all processes but the first should.
    """
    return Console(quiet=quiet, stderr=stderr, width=None if sys.stdout.isatty() else WIDTH)
