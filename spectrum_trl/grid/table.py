"""One live table of the states of a grid's jobs; plain lines of what changed where output is no terminal."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from spectrum_trl.console import plain, visible
from spectrum_trl.grid.job import Job
from spectrum_trl.grid.states import Seen, State

COLOURS = {
    State.RUNNING: "cyan",
    State.QUEUED: "blue",
    State.DONE: "green",
    State.FAILED: "red",
    State.STOPPED: "yellow",
}
# Header, frame and counts.
OTHER_LINES = 6
SHOWN_FIRST = (State.RUNNING, State.FAILED, State.STOPPED, State.QUEUED, State.DONE, State.WAITING)


class Show(Protocol):
    """Shows the states of the jobs by name."""

    def __call__(self, seen: Mapping[str, Seen]) -> None:
        """Show them."""


@contextmanager
def shown(jobs: Sequence[Job], *, out: Console) -> Iterator[Show]:
    """Yield a function that shows the states of the jobs, each time in place of the last."""
    before: dict[str, Seen] = {}

    def lines(seen: Mapping[str, Seen]) -> None:
        for job in jobs:
            now = seen[job.name]
            first = job.name not in before
            if (first and now.state != State.WAITING) or (not first and before[job.name].state != now.state):
                out.print(visible(f"{job.name}: {_line(now)}"), markup=False, highlight=False, soft_wrap=True)
        before.update(seen)

    if not out.is_terminal:
        yield lines
        return
    with Live(console=out, auto_refresh=False, transient=True) as live:

        def drawn(seen: Mapping[str, Seen]) -> None:
            live.update(table(jobs, seen, most=max(out.height - OTHER_LINES, 3)), refresh=True)

        yield drawn


def table(jobs: Sequence[Job], seen: Mapping[str, Seen], *, most: int | None = None) -> Table:
    """Return the states as a table, whose caption counts them.

    Args:
        jobs: The jobs.
        seen: Their states by name.
        most: Maximum number of rows; those that run or failed come first.
    """
    found = Table("job", "state", "time", "", caption=counts(seen), caption_justify="left")
    chosen = list(jobs)
    if most and len(chosen) > most:
        chosen = sorted(chosen, key=lambda job: SHOWN_FIRST.index(seen[job.name].state))[:most]
    for job in chosen:
        now = seen[job.name]
        colour = COLOURS.get(now.state, "dim")
        found.add_row(plain(job.name), f"[{colour}]{now.state}[/]", _time(now.seconds), plain(now.detail))
    return found


def counts(seen: Mapping[str, Seen]) -> str:
    """Return how many jobs are in each state."""
    number = Counter(one.state for one in seen.values())
    return ", ".join(f"{number[state]:,} {state}" for state in State if number[state])


def _line(now: Seen) -> str:
    parts = [
        str(now.state),
        *([f"after {_time(now.seconds)}"] if now.seconds and now.state != "queued" else []),
    ]
    return " ".join(parts) + (f" ({now.detail})" if now.detail else "")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
