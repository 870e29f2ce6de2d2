"""``spectrum-trl grid``: many evaluations or runs from one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spectrum_trl.grid.job import Job
    from spectrum_trl.grid.read import Grid
    from spectrum_trl.grid.states import Seen


def grid(
    file: Annotated[
        Path, typer.Argument(help="A grid file, or the name of a bundled one, such as `diversity`.")
    ],
    print_commands: Annotated[
        bool, typer.Option("--print", help="Print the commands, one a line, and do nothing else.")
    ] = False,
    local: Annotated[
        int | None, typer.Option(min=1, help="Run on this machine, so many jobs at a time.")
    ] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Submit to SLURM, and watch.")] = False,
    retry: Annotated[
        Literal["failed", "missing"] | None,
        typer.Option(help="Also run jobs again that failed, or whose data were missing."),
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the jobs that SLURM has.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="HTML file for a report of what is evaluated, at the end.")
    ] = None,
) -> None:
    """Run every combination of a grid: models, tasks and options, or recipes and overrides.

    Without --print, --local or --slurm, show the states of the jobs. What is done is never run again, by its
    own results; the same command goes on where it was.
    """
    from spectrum_trl.console import console
    from spectrum_trl.errors import UserError, refuse
    from spectrum_trl.grid.job import command_line
    from spectrum_trl.grid.read import read_grid

    if sum((print_commands, local is not None, slurm, cancel)) > 1:
        raise UserError("--print, --local, --slurm and --cancel exclude each other; choose one")
    if retry and not (local or slurm):
        raise UserError("--retry needs --local or --slurm, which run the jobs")
    found = read_grid(file)
    if print_commands:
        print("\n".join(command_line(job, found.environment) for job in found.jobs))
        return
    if report:
        from spectrum_trl.files import check_writable

        check_writable(report)
    from spectrum_trl.grid.table import counts, table

    seen = _run(found, local=local, slurm=slurm, retry=retry, cancel=cancel)
    out = console()
    if out.is_terminal or not (local or slurm):
        out.print(table(found.jobs, seen))
    else:
        out.print(counts(seen), highlight=False)
    problems = _problems(found, seen) if local or slurm else []
    if not _show_report(found, seen, report=report) and report:
        problems.append(f"--report: no evaluation of {found.file} is done yet")
    refuse(problems)


def _run(
    grid: "Grid", *, local: int | None, slurm: bool, retry: str | None, cancel: bool
) -> "Mapping[str, Seen]":
    from filelock import FileLock, Timeout

    from spectrum_trl.console import console
    from spectrum_trl.errors import UserError
    from spectrum_trl.files import writing
    from spectrum_trl.grid import local as here
    from spectrum_trl.grid import slurm as cluster
    from spectrum_trl.grid.queue import Queue
    from spectrum_trl.grid.states import look, submission

    sent = [one.slurm for job in grid.jobs if (one := submission(job))]
    queue = Queue() if slurm or cancel or sent else None
    if cancel and queue:
        active = queue.active()
        queue.cancel([job for job in sent if job in active])
    if not (local or slurm):
        return look(grid.jobs, output=grid.output, queue=queue)
    executor = cluster.executor(grid) if slurm else None
    with writing(grid.output):
        grid.output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(grid.output / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"another command is running the grid in {grid.output}; wait for it, or end it"
        ) from None
    with lock:
        jobs = _chosen(grid.jobs, look(grid.jobs, output=grid.output, queue=queue), retry=retry)
        if local:
            here.run(grid, jobs, parallel=local, out=console(), queue=queue)
        elif jobs:
            cluster.submit(grid, jobs, executor=executor)
    if slurm and queue:
        return cluster.watch(grid, queue=queue, out=console())
    return look(grid.jobs, output=grid.output, queue=queue)


def _chosen(jobs: "Sequence[Job]", seen: "Mapping[str, Seen]", *, retry: str | None) -> "list[Job]":
    """Return the jobs to run: those that did not end, and those to retry."""
    from spectrum_trl.grid.states import State

    states = {State.WAITING, State.STOPPED} | ({State.FAILED} if retry == "failed" else set())
    return [
        job
        for job in jobs
        if seen[job.name].state in states or (retry == "missing" and seen[job.name].missing)
    ]


def _show_report(grid: "Grid", seen: "Mapping[str, Seen]", *, report: Path | None) -> bool:
    """Write a report of what is done, or print its command; return whether anything is."""
    import shlex

    from spectrum_trl.console import console
    from spectrum_trl.grid.evaluations import Wanted
    from spectrum_trl.grid.states import State

    done = [job for job in grid.jobs if seen[job.name].state == State.DONE and isinstance(job.wanted, Wanted)]
    words = [f"{job.label}={job.output}" for job in done]
    if words and report:
        from spectrum_trl.commands.report import report as write_report

        write_report(words, output=report)
    elif words:
        command = shlex.join(["spectrum-trl", "report", *words, "-o", str(grid.output / "report.html")])
        console().print(command, markup=False, highlight=False, soft_wrap=True)
    return bool(words)


def _problems(grid: "Grid", seen: "Mapping[str, Seen]") -> "list[str]":
    from spectrum_trl.grid.states import LOG, State

    failed = [job for job in grid.jobs if seen[job.name].state == State.FAILED]
    problems = [f"{job.name}: {seen[job.name].detail}; see {job.folder / LOG}" for job in failed]
    return (
        [*problems, f"add `--retry failed` to run {'it' if len(failed) == 1 else 'them'} again"]
        if failed
        else []
    )
