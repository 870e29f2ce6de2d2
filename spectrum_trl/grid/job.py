"""A job of a grid: its command and folder, and names that are short but tell it from the others."""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.grid.matrix import Combination

LONGEST_NAME, LONGEST_LABEL = 80, 52
DIGITS = 8
# Their values need no name beside them.
PLAIN = ("model", "tasks", "format", "recipe", "model_name_or_path")
Made = TypeVar("Made")


class Job(NamedTuple):
    """One command of a grid.

    Attributes:
        name: Its name, which is also that of its folder.
        label: Name of its column in a report; jobs of the same model and settings share it.
        words: The command.
        folder: Folder of its log, its state, and its results.
        output: The folder that the command itself writes.
        wanted: What a finished command records, see `spectrum_trl.grid.evaluations` and ``training``.
    """

    name: str
    label: str
    words: tuple[str, ...]
    folder: Path
    output: Path
    wanted: Any


def made(every: Sequence[Combination], make: Callable[[Combination], Made]) -> list[Made]:
    """Return what is made of each combination.

    Raises:
        UserError: With every problem, each with the first job that has it.
    """
    found: list[Made] = []
    problems: dict[str, int] = {}
    for number, one in enumerate(every, start=1):
        try:
            found.append(make(one))
        except UserError as error:
            for problem in error.problems:
                problems.setdefault(problem, number)
    refuse(f"matrix: job {number}: {problem}" for problem, number in problems.items())
    return found


def command_line(job: Job, environment: Mapping[str, str]) -> str:
    """Return a job's command as a line for a shell."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return " ".join([*variables, shlex.join(job.words)])


def digest(value: Any) -> str:
    """Return a short hash of JSON-like values."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def differing(every: Sequence[Combination]) -> list[str]:
    """Return the keys that tell combinations apart, in their order."""
    keys = dict.fromkeys(name for one in every for name in one)
    return [name for name in keys if len({repr(one.get(name)) for one in every}) > 1]


def name_of(one: Combination, keys: Sequence[str], *, identity: Any) -> str:
    """Return a name that can be a folder's: values of the given keys, and a hash."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", "_".join(_short(one, keys))).lstrip("-.")[:LONGEST_NAME]
    return f"{slug}_{digest(identity)}" if slug else digest(identity)


def label_of(one: Combination, keys: Sequence[str]) -> str:
    """Return a name for a report: values of the given keys."""
    return " ".join(_short(one, keys)).replace("=", " ")[:LONGEST_LABEL].strip()


def _short(one: Combination, keys: Sequence[str]) -> list[str]:
    """Return short texts of values: of a model, a recipe or another path the last part."""
    found = []
    for key in keys:
        if (value := one.get(key)) is not None:
            text = str(value).rstrip("/").rpartition("/")[2].removesuffix(".yaml")
            found.append(text if key in PLAIN else f"{key} {text}")
    return found
