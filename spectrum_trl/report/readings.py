"""Samples to read: what a task asks, and what each model says to it."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spectrum_trl.console import counted
from spectrum_trl.evaluation.results import LOWEST_COVERAGE
from spectrum_trl.evaluation.summary import number
from spectrum_trl.evaluation.verbalized import named
from spectrum_trl.report.reading import Evaluation

# Longest text of a cell, number of turns and of distinct answers shown.
LONGEST, TURNS, ANSWERS = 600, 8, 12
Cell = str | list[str]


class Reading(NamedTuple):
    """One row of a task's samples.

    Attributes:
        turns: Roles and texts of the prompt.
        columns: Headings of the table below it.
        rows: Its cells: a text each, or the answers of a model.
    """

    turns: list[tuple[str, str]]
    columns: list[str]
    rows: list[list[Cell]]


class TaskReadings(NamedTuple):
    """The samples of one task."""

    task: str
    readings: list[Reading]


def readings_of(evaluations: Sequence[Evaluation]) -> list[TaskReadings]:
    """Return the first rows of every task, each with what all models that have it say."""
    names = sorted({task for one in evaluations for task in one.samples})
    found = []
    for task in names:
        first = next(one for one in evaluations if task in one.samples)
        readings = []
        for key in first.samples[task].rows:
            rows = {
                one.name: one.samples[task].rows[key]
                for one in evaluations
                if task in one.samples and key in one.samples[task].rows
            }
            readings.append(_reading(rows))
        found.append(TaskReadings(task, readings))
    return found


def short(value: Any) -> str:
    """Return any value as text that fits a cell."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _reading(rows: Mapping[str, Mapping[str, Any]]) -> Reading:
    doc = next(iter(rows.values())).get("doc")
    doc = doc if isinstance(doc, Mapping) else {"row": doc}
    if isinstance(doc.get("candidates"), list) and isinstance(doc.get("target"), list):
        return _shares(doc, rows)
    if isinstance(doc.get("messages"), list):
        return _losses(doc["messages"], rows)
    if isinstance(doc.get("examples"), list):
        turns = [("description", short(doc.get("description")))] * bool(doc.get("description"))
        turns += [("example", short(text)) for text in doc["examples"][:TURNS]]
    else:
        turns = [(short(name), short(value)) for name, value in list(doc.items())[:TURNS]]
    return Reading(turns, ["model", "answers"], [[name, _answers(row)] for name, row in rows.items()])


def _shares(doc: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Reading:
    """Return the true share of each answer beside the models' own."""
    turns = [(name, short(doc[name])) for name in ("description", "input", "group") if doc.get(name)]
    answers, target = doc["candidates"], doc["target"]
    found = {name: _observed(row, answers) for name, row in rows.items()}
    cells: list[list[Cell]] = [
        [
            short(answer),
            _number(share),
            *(_number(shares[n] if shares else None) for shares in found.values()),
        ]
        for n, (answer, share) in enumerate(zip(answers, target, strict=False))
    ]
    covered = {name: _mean(row, "coverage") for name, row in rows.items()}
    low = " (low)"
    cells.append(
        ["coverage", "—", *(f"{number(one)}{low * (one < LOWEST_COVERAGE)}" for one in covered.values())]
    )
    return Reading(turns, ["answer", "true share", *found], cells)


def _observed(row: Mapping[str, Any], candidates: Sequence[Any]) -> list[float]:
    """Return the shares of the candidates; empty where answers are neither scored nor drawn."""
    n = len(candidates)
    try:
        given = row["filtered_resps"]
        # One text is the model's own estimate, as JSON.
        if len(given) > 1 and all(isinstance(answer, str) for answer in given):
            drawn = Counter(named(answer, list(map(str, candidates))) for answer in given)
            valid = drawn.total() - drawn[None]
            return [drawn[place] / valid for place in range(n)] if valid else []
        logs = [float(answer[0]) for answer in given[:n]]
        top = max(logs)
        weights = [math.exp(log - top) for log in logs]
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return []
    return [weight / sum(weights) for weight in weights] if len(weights) == n else []


def _losses(messages: Sequence[Any], rows: Mapping[str, Mapping[str, Any]]) -> Reading:
    turns = [
        (short(turn.get("role", "?")), short(turn.get("content", "")))
        for turn in messages[:TURNS]
        if isinstance(turn, Mapping)
    ]
    if len(messages) > TURNS:
        turns.append(("…", f"{counted(len(messages) - TURNS, 'further turn')}"))
    metrics = [
        name for name in ("loss", "accuracy", "loss_last") if any(name in row for row in rows.values())
    ]
    cells: list[list[Cell]] = [
        [name, *(number(_mean(row, metric)) for metric in metrics)] for name, row in rows.items()
    ]
    return Reading(turns, ["model", *(f"{name} of this row" for name in metrics)], cells)


def _answers(row: Mapping[str, Any]) -> list[str]:
    """Return the commonest answers with their counts."""
    answers = row.get("filtered_resps")
    texts = (
        [one[0] if isinstance(one, list) and one else one for one in answers]
        if isinstance(answers, list)
        else []
    )
    counts = Counter(short(text) or "(empty)" for text in texts)
    shown = [f"{text} × {n}" if n > 1 else text for text, n in counts.most_common(ANSWERS)]
    left = len(counts) - len(shown)
    return [*shown, f"… and {left} more"] if left else shown


def _mean(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    numbers = value[:2] if isinstance(value, list) else []
    if len(numbers) == 2 and all(isinstance(one, int | float) for one in numbers) and numbers[1]:
        return float(numbers[0]) / float(numbers[1])
    return math.nan


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "—"
