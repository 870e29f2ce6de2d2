"""Jobs that end at once, by copying real results, by failing, or by waiting."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectrum_trl.evaluation.options import Options
from spectrum_trl.grid.evaluations import RESULTS, Wanted
from spectrum_trl.grid.job import Job
from spectrum_trl.grid.read import Grid

TASK, MODEL = "spectrum_dist_states", "spectrum-trl/tiny-base"


def job(output: Path, name: str, script: str, *, seed: int) -> Job:
    """Return a job whose command is a shell script; its results are those of the seed."""
    options = Options(format="spectrum", seed=seed)
    wanted = Wanted(MODEL, {}, "spectrum", 1, options, (TASK,))
    folder = output / name
    return Job(name, f"seed {seed}", ("sh", "-c", script), folder, folder / RESULTS, wanted)


def copying(output: Path, name: str, results: Path, *, seed: int, first: str = "true") -> Job:
    """Return a job that does something first, and then copies the results of a real evaluation."""
    into = shlex.quote(str(output / name / RESULTS))
    made = f"cp -r {shlex.quote(str(results))} {into} && touch {into}/*/*"
    return job(output, name, f"{first} && {made}", seed=seed)


def grid_of(output: Path, jobs: Sequence[Job], **slurm: Any) -> Grid:
    """Return a grid of these jobs."""
    return Grid(output / "grid.yaml", tuple(jobs), output, {}, slurm)
