"""Submit jobs to SLURM as an array through submitit, and watch them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from spectrum_trl.errors import Interrupted, UserError, first_line, nearest, refuse
from spectrum_trl.grid.job import Job
from spectrum_trl.grid.local import work_of
from spectrum_trl.grid.queue import Queue
from spectrum_trl.grid.read import Grid
from spectrum_trl.grid.states import ACTIVE, RECORD, SUBMITTED, Seen, Submission, look, write
from spectrum_trl.grid.table import shown

FOLDER = "slurm"
TIMEOUTS = "max_num_timeout"
WATCH_SECONDS = 10.0
# How long before its end SLURM says so, by submitit's default; what of it is kept for requeuing the job.
SIGNAL_SECONDS, RESERVED_SECONDS, LEAST_SECONDS = 90.0, 30.0, 5.0


def executor(grid: Grid) -> Any:
    """Return submitit's executor with the parameters of a grid.

    Raises:
        UserError: If submitit is missing, this is no machine that submits, or a parameter is wrong.
    """
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise UserError("--slurm needs submitit: pip install 'spectrum-trl[slurm]'") from error
    given = {"job_name": grid.file.stem, **grid.slurm}
    timeouts = given.pop(TIMEOUTS, 3)
    known = sorted({*SlurmExecutor._valid_parameters(), TIMEOUTS})
    problems = [
        f"{grid.file}: slurm: submitit has no parameter {name[:60]!r}.{nearest(name, known)}"
        for name in given
        if name not in known
    ]
    if "time" not in given:
        problems.append(
            f"{grid.file}: slurm: time is missing: minutes that a job may take; one that takes longer is "
            f"requeued up to {TIMEOUTS} (3) times, and goes on where it was"
        )
    refuse(problems)
    # By default SLURM would cancel a job that it preempts, or whose node fails.
    given["additional_parameters"] = {"requeue": True, **(given.get("additional_parameters") or {})}
    try:
        made = SlurmExecutor(folder=_folder(grid) / "%j", max_num_timeout=int(timeouts))
        made.update_parameters(**given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{grid.file}: slurm: {first_line(error)}") from error
    return made


def submit(grid: Grid, jobs: Sequence[Job], *, executor: Any) -> None:
    """Submit jobs, as one array if they are several, and keep their ids in their folders.

    Raises:
        UserError: If SLURM refuses them.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    _folder(grid).mkdir(parents=True, exist_ok=True)
    grace = max(float(grid.slurm.get("signal_delay_s", SIGNAL_SECONDS)) - RESERVED_SECONDS, LEAST_SECONDS)
    for job in jobs:
        # Of an earlier try.
        (job.folder / RECORD).unlink(missing_ok=True)
    try:
        with executor.batch():
            sent = [executor.submit(work_of(job, grid.environment, grace=grace)) for job in jobs]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        raise UserError(f"SLURM refuses the jobs: {' '.join(str(error).split())}") from error
    for job, one in zip(jobs, sent, strict=True):
        write(Submission(slurm=one.job_id), job.folder / SUBMITTED)


def watch(grid: Grid, *, queue: Queue, out: Console, seconds: float = WATCH_SECONDS) -> dict[str, Seen]:
    """Show the states of a grid's jobs until none is queued or running, and return them.

    Raises:
        Interrupted: On Ctrl-C, which leaves the jobs as they are.
    """
    try:
        with shown(grid.jobs, out=out) as show:
            while True:
                seen = look(grid.jobs, output=grid.output, queue=queue)
                show(seen)
                if not any(one.state in ACTIVE for one in seen.values()):
                    return seen
                time.sleep(seconds)
    except KeyboardInterrupt:
        raise Interrupted(
            "the jobs go on in SLURM; run the same command to look again, or with --cancel to end them"
        ) from None


def _folder(grid: Grid) -> Path:
    return grid.output.absolute() / FOLDER
