"""Jobs of ``spectrum-trl eval``, and whether an evaluation in the grid's folder already has their results."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.evaluation.options import (
    OF_THE_MODEL,
    AnyFormat,
    Options,
    read_options,
    read_words,
    select,
    task_manager,
)
from spectrum_trl.grid.job import Job, differing, digest, label_of, made, name_of
from spectrum_trl.grid.matrix import Combination
from spectrum_trl.strict.json import read_json
from spectrum_trl.strict.schema import parsed
from spectrum_trl.strict.yaml import read_yaml

RESULTS = "results"
# Keys that say what is evaluated of a model, not how: one column of a report has them all.
OF_TASKS = ("tasks", "include_path")


class _Asked(BaseModel):
    """Options of the command; all other keys are options of the evaluation, in ``--metadata``."""

    model_config = ConfigDict(extra="ignore")
    model: str = Field(pattern=r"^[^-\s]")
    tasks: str = Field(pattern=r"^[^-\s]")
    format: AnyFormat | None = None
    limit: int | None = Field(default=None, ge=1)
    data_dir: str | None = None
    backend: str = "spectrum"
    model_args: str = ""
    include_path: list[str] = []
    device: Literal["cpu", "cuda", "mps"] | None = None
    dtype: Literal["float32", "bfloat16", "float16", "auto"] | None = None


class Wanted(NamedTuple):
    """What the results of a job say.

    Attributes:
        model: Name of the model.
        arguments: Arguments of its class other than its name and device.
        backend: Name of the class.
        limit: Rows per task.
        options: Options of the evaluation.
        tasks: Names of the tasks.
    """

    model: str
    arguments: dict[str, Any]
    backend: str
    limit: int | None
    options: Options
    tasks: tuple[str, ...]


class Found(NamedTuple):
    """An evaluation that has the results of a job: its file, when it was written, and tasks without data."""

    file: Path
    time: float
    missing: tuple[str, ...] = ()


def keys() -> list[str]:
    """Return the keys that a matrix can have."""
    own = [name for name in Options.model_fields if name not in OF_THE_MODEL]
    return list(dict.fromkeys([*_Asked.model_fields, *own]))


def jobs(every: Sequence[Combination], *, output: Path, options: Sequence[str]) -> list[Job]:
    """Return the job of each combination; ``options`` of accelerate are not used.

    Raises:
        UserError: With every wrong value and unknown task.
    """
    shown = differing(every)
    labelled = [key for key in shown if key not in OF_TASKS]
    names: dict[str, str] = {}

    def job(one: Combination) -> Job:
        asked, metadata = _read(one)
        words = _words(asked, metadata)
        name = name_of(one, shown, identity=words)
        column = digest({key: value for key, value in one.items() if key not in OF_TASKS})
        label = label_of(one, labelled) or "model"
        # Models of two owners may have the same name.
        if names.setdefault(label, column) != column:
            label = f"{label} {column[:6]}"
        folder = output / name
        words = (*words, "--output", str(folder / RESULTS))
        return Job(name, label, words, folder, folder / RESULTS, _wanted(asked, metadata))

    return made(every, job)


def _read(one: Combination) -> tuple[_Asked, dict[str, Any]]:
    metadata = {
        name: value for name, value in one.items() if name not in _Asked.model_fields and value is not None
    }
    problems = [
        f"{name}: {value!r} holds a comma or `=`, which --metadata cannot carry"
        for name, value in metadata.items()
        if isinstance(value, str) and set(value) & set(",=")
    ]
    for read in (lambda: parsed(_Asked, one), lambda: read_options(metadata)):
        try:
            read()
        except UserError as error:
            problems += error.problems
    refuse(problems)
    return parsed(_Asked, one), metadata


def _words(asked: _Asked, metadata: dict[str, Any]) -> tuple[str, ...]:
    words = ["spectrum-trl", "eval", asked.model]
    own = asked.model_dump(exclude={"model"}, exclude_defaults=True)
    for name, value in own.items():
        for each in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", str(each)]
    if metadata:
        texts = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in metadata.items()
        ]
        words += ["--metadata", ",".join(texts)]
    return tuple(words)


def _wanted(asked: _Asked, metadata: dict[str, Any]) -> Wanted:
    own = {"format": asked.format, "data_dir": asked.data_dir}
    options = read_options({**metadata, **own})
    arguments = read_words(asked.model_args, option="model_args", beside={"dtype": asked.dtype})
    tasks = _task_names(asked.tasks, tuple(asked.include_path))
    return Wanted(asked.model, arguments, asked.backend, asked.limit, options, tasks)


@cache
def _task_names(tasks: str, include_path: tuple[str, ...]) -> tuple[str, ...]:
    patterns = [part.strip() for part in tasks.split(",") if part.strip()]
    chosen = select(patterns, manager=task_manager([Path(folder) for folder in include_path], metadata={}))
    files = {task: Path(task) for task in chosen if Path(task).suffix == ".yaml"}
    return tuple(
        str(read_yaml(files[task]).values.get("task", task)) if task in files else task for task in chosen
    )


def finished(every: Sequence[Job], *, output: Path) -> dict[str, Found]:
    """Return the jobs whose results lie anywhere in a folder, by name, with the newest results of each."""
    found: dict[str, Found] = {}
    for file, results in _results(output):
        for job in every:
            if not _is_of(results, job.wanted):
                continue
            missing = tuple(task for task in job.wanted.tasks if task not in results["results"])
            one = Found(file, file.stat().st_mtime, missing)
            if one.time >= max(_written(job.wanted.model), found[job.name].time if job.name in found else 0):
                found[job.name] = one
    return found


def _results(output: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(output.glob("*/**/results_*.json")):
        try:
            results = read_json(file, finite=False)
            parts = [results[key] for key in ("results", "config")]
            parts += [results["config"]["model_args"], results["config"]["metadata"]]
        except (OSError, ValueError, KeyError, TypeError):
            # Not whole, so not done.
            continue
        if all(isinstance(part, dict) for part in parts):
            yield file, results


def _is_of(results: dict[str, Any], wanted: Wanted) -> bool:
    from spectrum_trl.models.load import model_path

    config = results["config"]
    arguments = {name: value for name, value in config["model_args"].items() if name != "device"}
    model = {"pretrained": model_path(wanted.model), **wanted.arguments}
    same = (config.get("model"), config.get("limit"), arguments) == (wanted.backend, wanted.limit, model)
    tasks = {*results["results"], *(results.get("missing") or {})}
    if not same or not tasks >= set(wanted.tasks):
        return False
    try:
        options = read_options(config["metadata"])
    except UserError:
        return False
    # Where none was asked for, a probe of the model chose it.
    return options == wanted.options.model_copy(update={"format": wanted.options.format or options.format})


def _written(model: str) -> float:
    """Return when a local model was last written; 0 for one on the Hub."""
    from spectrum_trl.models.folder import weights
    from spectrum_trl.models.load import model_path

    return max((file.stat().st_mtime for file in weights(Path(model_path(model)))), default=0.0)
