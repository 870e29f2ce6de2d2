"""A user's mistakes: one clear message, exit code 2, no traceback."""

import difflib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

EXIT_CODE = 2
# What shells give a program that Ctrl-C ended.
INTERRUPTED = 130
# Every process of a run finds the same mistake; the first one reports it, then the launcher ends the others.
HEAD_START_SECONDS = 5


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
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except UserError as error:
        if os.environ.get("LOCAL_RANK", "0") not in ("0", "-1"):
            time.sleep(HEAD_START_SECONDS)
        console = Console(stderr=True, soft_wrap=True)
        for problem in error.problems:
            console.print(f"[bold red]{error.label}:[/]", end=" ")
            console.print(problem, markup=False, highlight=False)
        sys.exit(error.exit_code)
