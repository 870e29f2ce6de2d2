"""Read what lm-eval has written: figures of tasks, and the values of single rows behind them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spectrum_trl.errors import UserError


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
        results = json.loads(file.read_text(encoding="utf-8"))
        tasks = list(results["results"])
        directions = results.get("higher_is_better", {})
        written = {task: config.get("metadata") or {} for task, config in results.get("configs", {}).items()}
        formats = {task: str(known["format"]) for task, known in written.items() if "format" in known}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{file} is not a results file of lm-eval: {error!r}") from error
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
    for number, row in _lines(file):
        try:
            key = (int(row["doc_id"]), str(row["doc_hash"]))
            metrics = [(name, row[name]) for name in row["metrics"]]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{file}, line {number}: not a sample of lm-eval: {error!r}") from error
        for name, written in metrics:
            if (value := _value(written)) is not None:
                values.setdefault(name, {})[key] = value
    return values


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise UserError(f"{file}, line {number}: not valid JSON: {error}") from error


def _value(value: Any) -> Value | None:
    """Return a row's value: a number, or a sum with the number of outputs that it runs over.

    A sum that is null was not finite, which JSON has no number for.
    """
    if isinstance(value, list) and len(value) in (2, 3) and value[0] is None:
        value = [float("nan"), *value[1:]]
    if isinstance(value, bool | int | float):
        return Value(float(value))
    if isinstance(value, list) and len(value) in (2, 3) and isinstance(value[0], int | float) and value[1]:
        total, count, *cluster = value
        return Value(float(total) / float(count), float(count), str(cluster[0]) if cluster else None)
    return None
