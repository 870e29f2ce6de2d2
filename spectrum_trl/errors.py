"""User errors: one clear message, exit code 2, no traceback."""

import difflib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console

from spectrum_trl.console import counted, is_first_process, visible

EXIT_CODE = 2
# The exit code that shells give a program ended by Ctrl-C.
INTERRUPTED = 130
# Every rank finds the same mistake; the first one reports it, then the launcher ends the others.
HEAD_START_SECONDS = 5
# What the errors of getpass() and input() say.
UNANSWERED = ("", "EOF when reading a line")
# Characters of a message, which may quote the user's text.
LONGEST = 4000


class UserError(Exception):
    """One or more mistakes in the user's input: a file, a key, a row, an option."""

    exit_code, label = EXIT_CODE, "error"

    def __init__(self, *problems: str) -> None:
        """Store the problems, one sentence each: where it is, what was expected, and how to fix it."""
        super().__init__("\n".join(problems))
        self.problems = problems


class MissingData(UserError):
    """A data set's files are not in the data folder."""


class Unreachable(UserError):
    """The network is unreachable; retrying other URLs is unlikely to help."""


class Interrupted(UserError):
    """The user stopped the program; the message says what was saved and how to continue."""

    exit_code, label = INTERRUPTED, "stopped"


def refuse(problems: Iterable[str]) -> None:
    """Raise a `UserError` with the problems if there are any."""
    if found := list(problems):
        raise UserError(*found)


@contextmanager
def located(place: str) -> Iterator[None]:
    """Put a place, such as a file and a key, before every problem of a `UserError` raised in the block."""
    try:
        yield
    except UserError as error:
        raise UserError(*(f"{place}{problem}" for problem in error.problems)) from error


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` with the candidate closest in spelling, or ``""`` if none is close.

    A candidate that is the name itself is no help: something else is wrong.
    """
    others = [one for one in candidates if one != name]
    close = difflib.get_close_matches(name, others, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def first_line(error: Exception) -> str:
    """Return the first line of a library's error, or what it is if it says nothing."""
    return next(iter(str(error).strip().splitlines()), repr(error))


# Signals that have arrived: libraries can swallow the exceptions that they raise.
_came: list[int] = []


@contextmanager
def user_errors() -> Iterator[None]:
    """Print a ``UserError`` to stderr and exit with its code instead of a traceback; likewise on Ctrl-C."""
    try:
        with _ended_by(signal.SIGINT):
            _check_process()
            yield
            # Flushed here, where errors are still caught.
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is not None or not _output_fails():
            raise
        # A reader that has read enough, such as `head`, gets no message.
        _leave(UserError(f"standard output cannot be written: {error.strerror or error}"), error)
    except EOFError as error:
        _leave(ended_early(error))
    except UserError as error:
        _leave(error)


def ended_early(error: EOFError) -> UserError:
    """Return what an ``EOFError`` means: Ctrl-D at a question of a library, or a file that was cut short."""
    if str(error) in UNANSWERED:
        return UserError("standard input ended at a question that needs an answer; run it again and answer")
    return UserError(f"a file ends too early ({error}): it was cut short; fetch or copy it again")


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, leaving no half-written files and no child processes."""
    with _ended_by(signal.SIGTERM):
        yield


def check_ended() -> None:
    """Exit if a signal came whose exception a library swallowed; call it between parts of long work."""
    if _came:
        _end(_came[0])


@contextmanager
def _ended_by(number: signal.Signals) -> Iterator[None]:
    """Raise in the block on a signal, even where a library turns the exception into another one.

    pandas does: interrupted, its CSV reader reports a damaged file.
    """

    def end(number: int, frame: object) -> None:
        _came.append(number)
        _end(number)

    main = threading.current_thread() is threading.main_thread()
    if not main or (before := signal.getsignal(number)) in (signal.SIG_IGN, None):
        # Ignored, as in processes that a shell starts in the background.
        yield
        return
    signal.signal(number, end)
    try:
        yield
        check_ended()
    except Exception as error:
        if getattr(error, "exit_code", None) != INTERRUPTED:
            check_ended()
        raise
    finally:
        _came.clear()
        signal.signal(number, before)


def _end(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _leave(error: UserError, cause: OSError | None = None) -> None:
    """Print the problems and exit."""
    if not isinstance(cause, BrokenPipeError):
        if not is_first_process():
            time.sleep(HEAD_START_SECONDS)
        out = Console(stderr=True, soft_wrap=True, emoji=False)
        for problem in error.problems:
            out.print(f"[bold red]{error.label}:[/]", end=" ")
            out.print(visible(_short(problem)), markup=False, highlight=False)
    sys.exit(error.exit_code)


def _short(problem: str) -> str:
    # The fix comes last.
    left = len(problem) - LONGEST
    if left <= 0:
        return problem
    return f"{problem[: LONGEST // 2]} [… {counted(left, 'character')} …] {problem[-LONGEST // 2 :]}"


def _check_process() -> None:
    """Check what every command needs: open standard streams and an existing working directory."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The encoding of a terminal or a pipe may lack characters of the text.
            stream.reconfigure(errors="replace")
    if sys.stdout is None or sys.stderr is None:
        # The next file opened would take the free descriptor and receive what is printed.
        for stream in (0, 1, 2):
            try:
                os.fstat(stream)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
        sys.stderr = sys.stderr or open(os.devnull, "w")
        sys.stdout = open(os.devnull, "w")
        raise UserError("standard output or error is closed: redirect it to /dev/null if it is not needed")
    try:
        os.getcwd()
    except OSError:
        raise UserError("the current folder no longer exists: change to another") from None


def _output_fails() -> bool:
    """Return whether writing to standard output fails; if so, close it, or it fails again at exit."""
    try:
        # The write that failed may have left nothing to flush.
        print(flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
