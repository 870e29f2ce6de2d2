"""Run jobs on this machine: a bounded number at a time, each on its own devices."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from spectrum_trl.console import counted
from spectrum_trl.errors import Interrupted, ended_by_sigterm
from spectrum_trl.grid.job import Job
from spectrum_trl.grid.queue import Queue
from spectrum_trl.grid.read import Grid
from spectrum_trl.grid.states import Seen, State, look
from spectrum_trl.grid.table import Show, shown
from spectrum_trl.grid.work import GRACE_SECONDS, LOOK_SECONDS, Work, end

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Looking at all results takes longer than at a process.
SHOW_SECONDS = 1.0
# What ends jobs, each with the seconds that it has for it. What a shell starts in the background ignores the
# first.
STEPS = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


def run(grid: Grid, jobs: Sequence[Job], *, parallel: int, out: Console, queue: Queue | None = None) -> None:
    """Run jobs until all have ended.

    Args:
        grid: The grid.
        jobs: Those of its jobs that are to run.
        parallel: How many at a time.
        out: Console for their states.
        queue: SLURM's queue, if other jobs were submitted to it.

    Raises:
        Interrupted: On Ctrl-C, which ends those that run.
    """
    running: dict[int, tuple[Job, Work]] = {}
    slots = pinned(parallel)
    try:
        with ended_by_sigterm(), shown(grid.jobs, out=out) as show:
            _run(grid, list(jobs), slots=slots, running=running, show=show, queue=queue)
    except BaseException as error:
        _end([work for _, work in running.values()], out=out)
        if not isinstance(error, KeyboardInterrupt):
            raise
        raise Interrupted(
            "the jobs that ran were ended, others are as they were; run the same command to go on"
        ) from None


def _end(works: Sequence[Work], *, out: Console) -> None:
    if not works:
        return
    # A second Ctrl-C would leave processes behind.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        out.print(f"ending {counted(len(works), 'job')}", highlight=False)
        end(works, *STEPS)
    finally:
        for work in works:
            work.write(state="stopped", ended=time.time(), reason="ended with the grid")
        signal.signal(signal.SIGINT, before)


def _run(
    grid: Grid,
    waiting: list[Job],
    *,
    slots: Sequence[dict[str, str]],
    running: dict[int, tuple[Job, Work]],
    show: Show,
    queue: Queue | None,
) -> None:
    seen = dict(look(grid.jobs, output=grid.output, queue=queue))
    for job in waiting:
        seen[job.name] = Seen(State.WAITING)
    looked = 0.0
    while waiting or running:
        for slot, devices in enumerate(slots):
            if slot not in running and waiting:
                job = waiting.pop(0)
                work = work_of(job, {**grid.environment, **devices})
                work.start()
                running[slot] = job, work
        ended = [slot for slot, (_, work) in running.items() if work.ended()]
        for slot in ended:
            job, _ = running.pop(slot)
            seen |= look([job], output=grid.output)
        if ended or time.monotonic() - looked > SHOW_SECONDS:
            looked = time.monotonic()
            for job, work in running.values():
                seen[job.name] = Seen(State.RUNNING, str(job.folder), time.time() - work.record.started)
            show(seen)
        if running:
            time.sleep(LOOK_SECONDS)


def work_of(job: Job, environment: dict[str, str], *, grace: float = GRACE_SECONDS) -> Work:
    """Return what runs a job."""
    return Work(job.words, folder=job.folder.absolute(), environment=environment, grace=grace)


def pinned(parallel: int, *, devices: Callable[[], list[str]] | None = None) -> list[dict[str, str]]:
    """Return the variables that give each of so many jobs its devices; none on a machine without GPUs.

    Args:
        parallel: Number of jobs at a time. With fewer devices than that, jobs share them.
        devices: Returns the devices; by default those of this machine.
    """
    known = (devices or visible_devices)()
    if not known:
        return [{} for _ in range(parallel)]
    each = max(len(known) // parallel, 1)
    starts = [slot * each % len(known) for slot in range(parallel)]
    return [{VISIBLE: ",".join(known[start : start + each])} for start in starts]


def visible_devices() -> list[str]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if VISIBLE in os.environ:
        return [name.strip() for name in os.environ[VISIBLE].split(",") if name.strip()]
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return []
    # Takes seconds to import, and is the one that will use them.
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
