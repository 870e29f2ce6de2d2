"""Read what lm-eval has written: figures of tasks, and the values of single rows behind them."""

import math
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import read_json, strict_json


class Value(NamedTuple):
    """What one row has of one metric.

    Attributes:
        mean: Over the outputs of the row.
        outputs: Their number.
        cluster: What rows that are not independent have in common; None for a row that stands alone.
    """

    mean: float
    outputs: float = 1.0
    cluster: str | None = None


class Results(NamedTuple):
    """One evaluation.

    Attributes:
        file: The results file.
        higher_is_better: Task to metric to direction, for metrics that have one.
        formats: Task to the format of its prompts, where it is known.
        rows: Task to metric to row to value; a row is its number and the hash of what was asked.
    """

    file: Path
    higher_is_better: dict[str, dict[str, bool]]
    formats: dict[str, str]
    rows: dict[str, dict[str, dict[tuple[int, str], Value]]]


def read_results(folder: Path) -> Results:
    """Read the newest evaluation in a folder.

    Args:
        folder: What ``--output_path`` named, a folder of one model inside it, or a results file.

    Raises:
        UserError: If there is none, or its samples were not kept.
    """
    file = _newest(folder)
    try:
        # lm-eval itself writes NaN and Infinity.
        results = read_json(file, finite=False)
        tasks, directions = list(results["results"]), results.get("higher_is_better", {})
        if not all(isinstance(one, dict) for one in (results["results"], directions, *directions.values())):
            raise TypeError("results and higher_is_better hold mappings")
        written = {task: config.get("metadata") or {} for task, config in results.get("configs", {}).items()}
        formats = {task: str(known["format"]) for task, known in written.items() if "format" in known}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{file} is not a results file of lm-eval: {_said(error)}") from error
    date = file.stem.removeprefix("results_")
    rows = {}
    for task in tasks:
        samples = file.with_name(f"samples_{task}_{date}.jsonl")
        if samples.is_file():
            rows[task] = _values(samples)
    if not rows:
        raise UserError(
            f"{file} has no samples beside it, which a comparison pairs; evaluate again with --log_samples "
            "(`spectrum-trl eval` keeps them by itself)"
        )
    return Results(file, directions, formats, rows)


def _newest(folder: Path) -> Path:
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
    for number, row in _lines(file):
        try:
            key = (operator.index(row["doc_id"]), str(row["doc_hash"]))
            # Two rows of one name would be paired as one; filters of lm-eval give a row each.
            first = seen.setdefault((*key, str(row.get("filter"))), number)
            metrics = [(name, _value(row[name])) for name in row["metrics"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{file}, line {number}: not a sample of lm-eval: {_said(error)}") from error
        if first != number:
            raise UserError(f"{file}, line {number}: the same row as in line {first}; evaluate again")
        for name, value in metrics:
            if value is not None:
                values.setdefault(name, {})[key] = value
    return values


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
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
    """Return a row's value: a number, or a sum with the number of outputs that it runs over.

    A sum that is null was not finite, which JSON has no number for.

    Raises:
        ValueError: If it is such a pair, but the number of outputs is none.
    """
    if isinstance(value, list) and len(value) in (2, 3) and value[0] is None:
        value = [float("nan"), *value[1:]]
    if isinstance(value, bool | int | float):
        return Value(float(value))
    if isinstance(value, list) and len(value) in (2, 3) and _is_number(value[0]) and _is_number(value[1]):
        total, count, *cluster = value
        if not 0 <= count < math.inf:
            raise ValueError(f"a value over {count} outputs")
        return (
            Value(float(total) / count, float(count), str(cluster[0]) if cluster else None) if count else None
        )
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(error: Exception) -> str:
    return str(error) if type(error) is ValueError else repr(error)
