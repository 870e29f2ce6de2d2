"""Read a grid file: a matrix of evaluations or runs, each of which becomes a job with its exact command."""

import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from spectrum_trl.errors import UserError, located, nearest, refuse
from spectrum_trl.files import folder_problems
from spectrum_trl.grid import evaluations, training
from spectrum_trl.grid.job import Job
from spectrum_trl.grid.matrix import combinations
from spectrum_trl.paths import bundled
from spectrum_trl.strict.schema import parsed
from spectrum_trl.strict.yaml import read_mapping

FOLDER = Path("runs/grids")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Grid(NamedTuple):
    """A grid.

    Attributes:
        file: Its file.
        jobs: Its jobs.
        output: Folder of the jobs' folders, their results, logs and states.
        environment: Variables of every job.
        slurm: Parameters of ``submitit.SlurmExecutor``.
    """

    file: Path
    jobs: tuple[Job, ...]
    output: Path
    environment: dict[str, str]
    slurm: dict[str, Any]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    command: Literal["eval", "train"]
    matrix: dict[str, Any] = Field(min_length=1)
    accelerate: dict[str, str | bool] = {}
    output: str | None = None
    environment: dict[str, str] = {}
    slurm: dict[str, Any] = {}


def find_grid(path: Path) -> Path:
    """Return a grid file, given its path or the name of a bundled one.

    Raises:
        UserError: If there is none.
    """
    if path.is_file():
        return path
    found = {file.stem: file for file in sorted((bundled("recipes") / "grids").glob("*.yaml"))}
    if str(path) in found:
        return found[str(path)]
    raise UserError(f"no grid {path}.{nearest(path.stem, found)} Available: {', '.join(found)}.")


def read_grid(path: Path) -> Grid:
    """Read and check a grid file.

    Raises:
        UserError: With every problem that is found at once.
    """
    file = find_grid(path)
    values = read_mapping(file)
    with located(f"{file}: "):
        read = parsed(_File, values)
        room = {"eval": evaluations, "train": training}[read.command]
        refuse(
            f"environment: {name[:60]!r} is not the name of a variable"
            for name in read.environment
            if not ENVIRONMENT_NAME.fullmatch(name)
        )
        if read.accelerate and read.command == "eval":
            raise UserError("accelerate: its options are for `command: train`; remove them")
        output = Path(read.output or FOLDER / file.stem)
        refuse(f"output: {problem}" for problem in folder_problems(output))
        found = combinations(read.matrix, known=room.keys())
        if not found:
            raise UserError("matrix: no combination is left; exclude fewer")
        options = [
            word
            for name, value in read.accelerate.items()
            for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
        ]
        jobs = room.jobs(found, output=output, options=options)
        twice = [name for name, n in Counter(job.name for job in jobs).items() if n > 1]
        refuse(f"matrix: several combinations are the same job, {name}; remove one" for name in twice)
    return Grid(file, tuple(jobs), output, read.environment, read.slurm)
