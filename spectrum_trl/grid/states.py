"""The states of jobs: from the results in the grid's folder, the jobs' own records, and SLURM's queue."""

import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
from pydantic import BaseModel, ValidationError

from spectrum_trl.console import counted
from spectrum_trl.files import write_json
from spectrum_trl.grid import evaluations, training
from spectrum_trl.grid.evaluations import Found, Wanted
from spectrum_trl.grid.job import Job
from spectrum_trl.grid.queue import Queue
from spectrum_trl.strict.json import read_json

RECORD, SUBMITTED, LOG = "job.json", "submitted.json", "log.txt"


class State(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"


ACTIVE = (State.QUEUED, State.RUNNING)


class Seen(NamedTuple):
    """A job as it was last seen.

    Attributes:
        state: Its state.
        detail: Why it failed, where it runs, or what it lacks the data for.
        seconds: How long it has run, or ran; None if unknown.
        missing: Whether some of its tasks had no data.
    """

    state: State
    detail: str = ""
    seconds: float | None = None
    missing: bool = False


class Record(BaseModel):
    """What a job writes of itself: when it started and how it ended.

    Attributes:
        state: Whether it runs, ended, was stopped to be started again, or was interrupted by the user.
        started: Seconds since 1970.
        ended: Seconds since 1970; None while it runs.
        code: Exit code; None while it runs, and if it was ended from outside.
        reason: Why it was ended from outside.
        host: Where it runs.
        pid: The process.
        born: When the process started, by which another one with the same number is known.
        slurm: Its id in SLURM, or None.
    """

    state: Literal["running", "ended", "requeued", "stopped"]
    started: float
    ended: float | None = None
    code: int | None = None
    reason: str = ""
    host: str = ""
    pid: int = 0
    born: float = 0.0
    slurm: str | None = None


class Submission(BaseModel):
    """The id in SLURM of a job that was submitted; its record of an earlier try was removed."""

    slurm: str


def write(found: BaseModel, file: Path) -> None:
    """Write a record atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(found.model_dump(), file)


def submission(job: Job) -> Submission | None:
    """Return a job's last submission; None if there is none."""
    return _read(job.folder / SUBMITTED, Submission)


def look(jobs: Sequence[Job], *, output: Path, queue: Queue | None = None) -> dict[str, Seen]:
    """Return every job as it is now, by name.

    Args:
        jobs: The jobs of a grid.
        output: The grid's folder.
        queue: SLURM's queue, if jobs were submitted to it.
    """
    # Before the records: a job that leaves the queue in between has written its own by then.
    active = queue.active() if queue else {}
    room = evaluations if isinstance(jobs[0].wanted, Wanted) else training
    done = room.finished(jobs, output=output)
    return {job.name: _seen(job, done.get(job.name), active=active, queue=queue) for job in jobs}


def _seen(job: Job, done: Found | None, *, active: Mapping[str, str], queue: Queue | None) -> Seen:
    record, submitted = _read(job.folder / RECORD, Record), submission(job)
    ran = (record.ended or time.time()) - record.started if record else None
    if submitted and (state := active.get(submitted.slurm)):
        running = state in ("RUNNING", "COMPLETING")
        return Seen(State.RUNNING if running else State.QUEUED, f"SLURM {submitted.slurm} {state}", ran)
    if record and record.state == "running" and _lives(record):
        return Seen(State.RUNNING, f"process {record.pid} on {record.host}", ran)
    failed = record is not None and record.state == "ended" and record.code != 0
    if done and not (failed and record and done.time <= (record.ended or 0)):
        lack = f"no data for {counted(len(done.missing), 'task')}" if done.missing else ""
        return Seen(State.DONE, lack, ran, missing=bool(done.missing))
    if submitted and (record is None or (record.slurm and record.state in ("running", "requeued"))):
        # Without a last word of its own it was ended from outside.
        return Seen(State.FAILED, f"SLURM {submitted.slurm}: {_why(submitted, queue)}", ran)
    if record is None:
        return Seen(State.WAITING)
    if record.state == "ended":
        return Seen(State.FAILED, record.reason or _ended(record, job), ran)
    return Seen(State.STOPPED, record.reason or "its process ended without a word", ran)


def _ended(record: Record, job: Job) -> str:
    if record.code == 0:
        return "it ended well, but its results are not there: are its data?"
    return f"exit code {record.code}: {_last_line(job.folder / LOG)}"


def _why(submitted: Submission, queue: Queue | None) -> str:
    return queue.why(submitted.slurm) if queue else "no longer in the queue"


def _lives(record: Record) -> bool:
    if record.slurm is not None or record.host != socket.gethostname():
        return False
    with suppress(psutil.Error):
        process = psutil.Process(record.pid)
        return process.create_time() == record.born and process.status() != psutil.STATUS_ZOMBIE
    return False


def _last_line(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_bytes()[-4000:].decode("utf-8", "replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("error:")]
        return (errors or lines or [""])[-1].strip()
    return ""


def _read(file: Path, kind: type[Any]) -> Any:
    """Return a record; None without one, or for one that is damaged."""
    try:
        return kind.model_validate(read_json(file))
    except (OSError, ValueError, ValidationError):
        return None
