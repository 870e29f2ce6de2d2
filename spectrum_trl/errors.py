"""A user's mistakes: one clear message, exit code 2, no traceback."""

import difflib
import io
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

from spectrum_trl.console import visible

EXIT_CODE = 2
# What shells give a program that Ctrl-C ended.
INTERRUPTED = 130
# Every process of a run finds the same mistake; the first one reports it, then the launcher ends the others.
HEAD_START_SECONDS = 5
# Of a problem, in characters: it may repeat a text of the user's.
LONGEST = 4000


class UserError(Exception):
    """One or more mistakes in what the user gave: a file, a key, a row, an option."""

    exit_code, label = EXIT_CODE, "error"

    def __init__(self, *problems: str) -> None:
        """Take the problems.

        Args:
            *problems: One sentence each, naming the place, what was expected, and the fix.
        """
        super().__init__("\n".join(problems))
        self.problems = problems


class MissingData(UserError):
    """Files of a data set are not in the data folder."""


class Unreachable(UserError):
    """Nothing came over the network; other addresses will hardly be better."""


class Interrupted(UserError):
    """The user stopped the program; says what is left of it, and how to go on."""

    exit_code, label = INTERRUPTED, "stopped"


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return a hint naming the candidate closest in spelling, or an empty string.

    Args:
        name: What the user wrote.
        candidates: The names that would have been right.

    Returns:
        ``" Did you mean 'x'?"`` with a leading space, or ``""`` where nothing is close.
    """
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


@contextmanager
def user_errors() -> Iterator[None]:
    """Print a ``UserError`` to stderr and exit with its code, 2, instead of a traceback; so with Ctrl-C."""
    try:
        _check_process()
        yield
        # What is left in the buffer is else written when nobody looks any more.
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is not None or not _output_fails():
            raise
        # A reader that has read enough, as `head`, is told nothing.
        _leave(UserError(f"standard output cannot be written: {error.strerror or error}"), error)
    except UserError as error:
        _leave(error)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: nothing half-written stays, and no process of its own."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(error: UserError, cause: OSError | None = None) -> None:
    """Print what is wrong, and exit."""
    if not isinstance(cause, BrokenPipeError):
        if os.environ.get("LOCAL_RANK", "0") not in ("0", "-1"):
            time.sleep(HEAD_START_SECONDS)
        out = Console(stderr=True, soft_wrap=True, emoji=False)
        for problem in error.problems:
            out.print(f"[bold red]{error.label}:[/]", end=" ")
            out.print(visible(_short(problem)), markup=False, highlight=False)
    sys.exit(error.exit_code)


def _short(problem: str) -> str:
    # The end is what to do.
    left = len(problem) - LONGEST
    if left <= 0:
        return problem
    return f"{problem[: LONGEST // 2]} [… {left:,} characters …] {problem[-LONGEST // 2 :]}"


def _check_process() -> None:
    """Check what every command needs of the system: a standard output, and the folder that it is run in."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or a pipe may know fewer characters than texts have.
            stream.reconfigure(errors="replace")
    if sys.stdout is None or sys.stderr is None:
        # Files that are opened would take its place, and get what is printed.
        for stream in (0, 1, 2):
            try:
                os.fstat(stream)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
        sys.stderr = sys.stderr or open(os.devnull, "w")
        sys.stdout = open(os.devnull, "w")
        raise UserError("standard output or error is closed: send it to /dev/null if nobody reads it")
    try:
        os.getcwd()
    except OSError:
        raise UserError("the folder that you are in is not there any more: change to another") from None


def _output_fails() -> bool:
    """Tell whether standard output cannot be written, and give it up: it fails again when Python ends."""
    try:
        # What failed may have left nothing to flush.
        print(flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
