"""SLURM's queue: which jobs it still has, and how others ended."""

import getpass
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from spectrum_trl.errors import UserError

NO_ANSWER = "it left the queue without a result"


class Queue:
    """The user's jobs in SLURM."""

    def __init__(self) -> None:
        """Ask nothing yet."""
        self._ended: dict[str, str] = {}

    def active(self) -> dict[str, str]:
        """Return SLURM's state of every job that it still has, by id.

        Raises:
            UserError: If there is no answer.
        """
        words = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i %T"]
        lines = (line.split() for line in asked(words).splitlines())
        return {line[0]: line[1] for line in lines if len(line) == 2}

    def why(self, job: str) -> str:
        """Return how a job ended that has left the queue."""
        if job not in self._ended:
            self._ended[job] = _accounted(job) or _remembered(job) or NO_ANSWER
        return self._ended[job]

    def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel jobs by their ids.

        Raises:
            UserError: If SLURM refuses.
        """
        if jobs:
            asked(["scancel", *jobs])


def _accounted(job: str) -> str:
    """Return how a job ended by SLURM's accounting, which a cluster may lack."""
    words = ["sacct", "--noheader", "--allocations", "--parsable2", "--format=State", f"--jobs={job}"]
    with suppress(UserError):
        return asked(words).partition("\n")[0].strip()
    return ""


def _remembered(job: str) -> str:
    """Return how a job ended by SLURM's controller, which forgets it after minutes."""
    with suppress(UserError):
        return "".join(re.findall(r"JobState=(\w+)", asked(["scontrol", "show", "job", job]))[:1])
    return ""


def asked(words: Sequence[str]) -> str:
    """Return the answer of one of SLURM's commands.

    Raises:
        UserError: If the command is missing or fails.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=120)
    except FileNotFoundError as error:
        raise UserError(
            f"{words[0]} is not on the PATH: --slurm needs a machine that submits to SLURM"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{words[0]} gave no answer in 2 minutes; look again later") from error
    if done.returncode:
        raise UserError(f"{words[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
