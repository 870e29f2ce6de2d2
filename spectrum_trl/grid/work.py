"""Run one job's command as a child process, with a log and a record; SLURM's jobs do so through submitit."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil

from spectrum_trl.grid.states import LOG, RECORD, Record, write

# Until SIGKILL; the second after SIGTERM, when SLURM itself waits for 30 seconds (KillWait).
GRACE_SECONDS, SHORT_GRACE_SECONDS = 60.0, 25.0
LOOK_SECONDS = 0.2


class Work:
    """One job's command; called, it runs to its end, as submitit expects."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        grace: float = GRACE_SECONDS,
    ) -> None:
        """Store the job.

        Args:
            words: The command.
            folder: Folder of its log and record.
            environment: Variables on top of those of this process.
            grace: Seconds in which it can save what it has when SLURM is about to end it.
        """
        self.words, self.folder, self.environment = tuple(words), folder, dict(environment)
        self.grace = grace
        self._child: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.record = Record(state="stopped", started=0)

    def start(self) -> None:
        """Start the command, which signals of a terminal or of SLURM reach only through this object."""
        # The commands of this installation come first.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = open(self.folder / LOG, "ab")
        self._child = subprocess.Popen(
            self.words,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path, **self.environment},
            process_group=0,
        )
        born = 0.0
        with suppress(psutil.Error):
            born = psutil.Process(self._child.pid).create_time()
        place = {"host": socket.gethostname(), "pid": self._child.pid, "born": born, "slurm": slurm_id()}
        self.write(state="running", started=time.time(), **place)

    def ended(self) -> bool:
        """Return whether the command has ended; record how."""
        assert self._child is not None
        code = self._child.poll()
        if code is None:
            return False
        self.write(state="ended", ended=time.time(), code=code)
        return True

    def stop(self, number: signal.Signals, *, grace: float = GRACE_SECONDS, **record: Any) -> None:
        """End the command and all processes that it started, and record why.

        Args:
            number: The signal, after which it has time to save what it has.
            grace: Seconds until it is killed.
            **record: Fields of the record.
        """
        end([self], (number, grace), (signal.SIGKILL, grace))
        self.write(ended=time.time(), **record)

    def __call__(self) -> None:
        """Run the command to its end.

        Raises:
            RuntimeError: If it fails, so that SLURM counts the job as failed.
        """
        # submitit ignores it; SLURM sends it to jobs that it cancels or preempts.
        before = signal.signal(signal.SIGTERM, self._terminated)
        self.start()
        try:
            while not self.ended():
                time.sleep(LOOK_SECONDS)
        except BaseException as error:
            # A requeued job leaves by SystemExit, one that timed out too often by submitit's own error.
            if self.record.state == "running":
                self.stop(signal.SIGTERM, state="ended", reason=str(error) or type(error).__name__)
            elif self.record.state == "requeued" and not isinstance(error, SystemExit):
                self.write(state="ended", reason=str(error))
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        if self.record.code:
            raise RuntimeError(f"exit code {self.record.code}: {self.folder / LOG}")

    def _terminated(self, number: int, frame: object) -> None:
        self.stop(signal.SIGTERM, grace=SHORT_GRACE_SECONDS, state="requeued", reason="ended by SLURM")
        sys.exit(128 + number)

    def checkpoint(self) -> Any:
        """End the command before SLURM does, and return the job for submitit to requeue."""
        from submitit.helpers import DelayedSubmission

        self.stop(signal.SIGTERM, grace=self.grace, state="requeued", reason="ended by SLURM, and requeued")
        return DelayedSubmission(
            Work(self.words, folder=self.folder, environment=self.environment, grace=self.grace)
        )

    def write(self, **changes: Any) -> None:
        """Change the record, and write it."""
        self.record = self.record.model_copy(update=changes)
        write(self.record, self.folder / RECORD)
        if self.record.state != "running" and self._log:
            self._log.close()


def end(works: Sequence[Work], *steps: tuple[signal.Signals, float]) -> None:
    """End commands with all processes that they started.

    Args:
        works: Those that run.
        *steps: Signals, each with the seconds after which what still runs gets the next.
    """
    tree: list[psutil.Process] = []
    for work in works:
        with suppress(psutil.Error):
            root = psutil.Process(work.record.pid)
            tree += [root, *root.children(recursive=True)]
    for number, seconds in steps:
        for process in tree:
            with suppress(psutil.Error):
                process.send_signal(number)
        # Popen's own wait would fail in a signal's handler that came while it waits.
        _, tree = psutil.wait_procs(tree, timeout=seconds)


def slurm_id() -> str | None:
    """Return the id of the SLURM job that this process is part of, as ``squeue`` shows it, or None."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
