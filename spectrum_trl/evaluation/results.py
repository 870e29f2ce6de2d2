"""Read lm-eval's results: what was evaluated, of which model, and the values of single rows."""

import math
import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import read_json, strict_json
from spectrum_trl.suite.task import OWN

COVERAGE = "coverage"
# Of one row; sums over rows stay finite.
MOST_OUTPUTS = 1e12
# A file's name holds a date, too.
LONGEST_NAME = 200
# Below it the candidates have almost no probability, and their shares are meaningless.
LOWEST_COVERAGE = 0.05
LOW_COVERAGE = "low_coverage"
# Key of a results file: the names of the tasks that the model was trained on.
TRAINED_ON = "trained_on"
# And evaluated tasks whose answers are listed in some of these, with the names of these.
ANSWERS_TRAINED_ON = "answers_trained_on"
# Key of a results file: the share of individuals held out in that training; of a task's metadata: the share
# of those that were evaluated.
HELD_OUT_SHARE = "held_out_share"
# Of a task's metadata: whether rare long outputs decide its mean losses, so that these have no interval.
RARE_LONG = "rare_long_outputs"


class Value(NamedTuple):
    """The value of a metric for one row.

    Attributes:
        mean: Mean over the outputs of the row.
        outputs: Number of outputs.
        cluster: Name shared by rows that are not independent; None for an independent row.
    """

    mean: float
    outputs: float = 1.0
    cluster: str | None = None


class Results(NamedTuple):
    """One evaluation.

    Attributes:
        file: The results file.
        higher_is_better: Task to metric to direction, for metrics that have one.
        formats: Task to the format of its prompts, if known.
        rows: Task to metric to row to value; a row is identified by its index and the hash of its document.
        trained_on: Names of the tasks that the model was trained on; None if unknown.
        data_of: Task to the Suite's task whose sequences it evaluates, or ``own`` for a user's task.
        answers_trained_on: Task to the names of those trained-on tasks that list its answers.
        held_out_in_training: Share of individuals in [0, 1] that the model's training held out.
        held_out: Task to the share of individuals in [0, 1] that were evaluated, where these are individuals
            to hold out of training.
        rare_long: Tasks whose mean losses are decided by rare long outputs.
    """

    file: Path
    higher_is_better: dict[str, dict[str, bool]]
    formats: dict[str, str]
    rows: dict[str, dict[str, dict[tuple[int, str], Value]]]
    trained_on: frozenset[str] | None = None
    data_of: dict[str, str] = {}
    answers_trained_on: dict[str, list[str]] = {}
    held_out_in_training: float = 0.0
    held_out: dict[str, float] = {}
    rare_long: frozenset[str] = frozenset()

    def has_rare_long(self, task: str, metric: str) -> bool:
        """Return whether a mean is decided by rare long outputs, so that no interval of it is reliable."""
        return task in self.rare_long and metric.startswith(("loss", "regret"))


def _data_of(task: str, config: Mapping[str, Any]) -> str | None:
    metadata = config.get("metadata")
    own = metadata.get("spectrum") if isinstance(metadata, dict) else None
    if not isinstance(own, dict):
        return None
    if set(own) != {"task"}:
        return OWN
    # The other axes' tasks have no training tasks.
    return str(own["task"]) if task.startswith("spectrum_icl_") else None


def read_results(folder: Path) -> Results:
    """Read the newest evaluation in a folder.

    Args:
        folder: The folder of ``--output_path``, a model's folder inside it, or a results file.

    Raises:
        UserError: If there is none, or its samples were not saved.
    """
    file = newest(folder)
    try:
        # lm-eval itself writes NaN and Infinity.
        results = read_json(file, finite=False)
        names, directions = list(results["results"]), results.get("higher_is_better", {})
        if not all(isinstance(one, dict) for one in (results["results"], directions, *directions.values())):
            raise TypeError("results and higher_is_better hold mappings")
        if wrong := [name for name in names if not _is_name(name)]:
            raise ValueError(f"{wrong[0][:60]!r} is no name of a task")
        if not all(isinstance(each, bool) for one in directions.values() for each in one.values()):
            raise TypeError("higher_is_better holds true and false")
        written = {task: config.get("metadata") or {} for task, config in results.get("configs", {}).items()}
        formats = {task: str(known["format"]) for task, known in written.items() if "format" in known}
        trained_on, share = results.get(TRAINED_ON), _share(results.get(HELD_OUT_SHARE, 0.0))
        known = None if trained_on is None else frozenset(_names(trained_on))
        held_out = {
            task: _share(options[HELD_OUT_SHARE])
            for task, options in written.items()
            if options.get(HELD_OUT_SHARE) is not None
        }
        rare_long = frozenset(task for task, options in written.items() if options.get(RARE_LONG) is True)
        listed = {str(task): _names(each) for task, each in results.get(ANSWERS_TRAINED_ON, {}).items()}
        configs = results.get("configs", {}).items()
        data_of = {task: name for task, config in configs if (name := _data_of(task, config))}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{file} is not a results file of lm-eval: {_said(error)}") from error
    rows = {}
    for task in names:
        samples = samples_file(file, task)
        if samples.is_file():
            rows[task] = _values(samples)
    if not rows:
        raise UserError(
            f"{file} has no samples beside it, which a comparison needs; evaluate again with --log_samples "
            "(`spectrum-trl eval` always saves them)"
        )
    return Results(file, directions, formats, rows, known, data_of, listed, share, held_out, rare_long)


def samples_file(results: Path, task: str) -> Path:
    """Return the file of a task's samples beside a results file; it may be missing."""
    return results.with_name(f"samples_{task}_{results.stem.removeprefix('results_')}.jsonl")


def newest(folder: Path) -> Path:
    """Return the newest results file in a folder, or the file itself.

    Raises:
        UserError: If there is none.
    """
    try:
        if folder.is_file():
            return folder
        found = sorted(folder.glob("**/results_*.json"), key=lambda file: file.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    if not found:
        raise UserError(f"{folder} holds no results of lm-eval (results_*.json); name its --output_path")
    return found[-1]


def _values(file: Path) -> dict[str, dict[tuple[int, str], Value]]:
    values: dict[str, dict[tuple[int, str], Value]] = {}
    seen: dict[tuple[int, str, str], int] = {}
    for number, row in sample_lines(file):
        try:
            key = (operator.index(row["doc_id"]), str(row["doc_hash"]))
            # A repeated row would replace the first; lm-eval writes one row per filter.
            first = seen.setdefault((*key, str(row.get("filter"))), number)
            metrics = [(name, _value(row[name])) for name in row["metrics"]]
            if wrong := [
                value.mean for name, value in metrics if name == COVERAGE and value and not _is_share(value)
            ]:
                raise ValueError(f"a coverage of {wrong[0]}, expected 0 to 1")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{file}, line {number}: not a sample of lm-eval: {_said(error)}") from error
        if first != number:
            raise UserError(f"{file}, line {number}: the same row as in line {first}; evaluate again")
        for name, value in metrics:
            if value is not None:
                values.setdefault(name, {})[key] = value
    return values


def sample_lines(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the JSON value of each line of a file of samples.

    Raises:
        UserError: If the file cannot be read, or a line is not JSON.
    """
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    yield number, strict_json(line, finite=False)
                except ValueError as error:
                    raise UserError(f"{file}, line {number}: {error}") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error


def _value(value: Any) -> Value | None:
    """Read a row's value: a number, or a sum with its number of outputs; None for anything else.

    A sum that is null was not finite, which JSON cannot represent.

    Raises:
        ValueError: If the number of outputs of such a pair is negative or not finite.
    """
    if isinstance(value, list) and len(value) in (2, 3) and value[0] is None:
        value = [float("nan"), *value[1:]]
    if isinstance(value, bool | int | float):
        return Value(float(value))
    if isinstance(value, list) and len(value) in (2, 3) and _is_number(value[0]) and _is_number(value[1]):
        total, count, *cluster = value
        if not 0 <= count < MOST_OUTPUTS:
            raise ValueError(f"a value over {count} outputs")
        return (
            Value(float(total) / count, float(count), str(cluster[0]) if cluster else None) if count else None
        )
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Value) -> bool:
    # Sums of probabilities round, and what was not finite is unknown.
    return math.isnan(value.mean) or 0 <= value.mean <= 1 + 1e-6


def _share(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= float(value) <= 1:
        raise ValueError(f"a {HELD_OUT_SHARE} of {value}, expected 0 to 1")
    return float(value)


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{TRAINED_ON} and {ANSWERS_TRAINED_ON} list names of tasks")
    return value


def _is_name(task: str) -> bool:
    """Return whether files can be named for a task."""
    return Path(task).name == task and len(task.encode()) < LONGEST_NAME and "\0" not in task


def _said(error: Exception) -> str:
    return str(error) if type(error) is ValueError else repr(error)
