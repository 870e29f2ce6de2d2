"""Everything that a report's page shows, as plain data for its template."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, nearest
from spectrum_trl.evaluation.compare import Comparison, compare
from spectrum_trl.evaluation.headlines import has_low_coverage, headlines
from spectrum_trl.evaluation.results import ANSWERS_TRAINED_ON
from spectrum_trl.evaluation.splits import SPLITS, marks_of, splits_of
from spectrum_trl.evaluation.summary import number
from spectrum_trl.report.figures import (
    Group,
    Mean,
    Row,
    baselines_of,
    floor_of,
    means_of,
    number_of,
    rows_of,
)
from spectrum_trl.report.pictures import Curves, Figure, Points, calibration, curves, points, validity
from spectrum_trl.report.reading import Evaluation
from spectrum_trl.report.readings import TaskReadings, readings_of

AFTER = re.compile(r"loss_at_([0-9]{1,6})")
# Tasks in a picture; more pictures stand beside each other.
TALLEST = 10
Pair = tuple[str, str]
Grouped = TypeVar("Grouped", Row, Mean)


class Model(NamedTuple):
    """A row of the table of models."""

    name: str
    model: str
    formats: str
    tasks: int
    settings: str


class Difference(NamedTuple):
    """A comparison of two models, or why there is none; ``mark`` says how one was trained on a task."""

    first: str
    second: str
    found: Comparison | None
    problem: str
    mark: Callable[[str], str]


class Page(NamedTuple):
    """A report.

    Attributes:
        models: The models, in the order of the columns.
        rows: All headlines.
        means: Means over tasks.
        differences: Paired comparisons.
        accuracy: One picture for each split.
        learning: Loss by number of examples, one picture a task.
        divergences: Divergences and losses of shares.
        validity: Validity against diversity.
        calibration: Calibration, one picture a task.
        readings: Samples to read.
        missing: Task, what is missing, and the models that it was missing for.
    """

    models: list[Model]
    rows: list[Row]
    means: list[Mean]
    differences: list[Difference]
    accuracy: list[Points]
    learning: list[Curves]
    divergences: list[Points]
    validity: list[Curves]
    calibration: list[Curves]
    readings: list[TaskReadings]
    missing: list[tuple[str, str, str]]

    def groups(self) -> list[tuple[Group, list[Row]]]:
        """Return the headlines by group."""
        return _by_group(self.rows)

    def means_by_group(self) -> list[tuple[Group, list[Mean]]]:
        """Return the means by group."""
        return _by_group(self.means)


def _by_group(items: Sequence[Grouped]) -> list[tuple[Group, list[Grouped]]]:
    groups = dict.fromkeys(item.group for item in items)
    return [(group, [item for item in items if item.group == group]) for group in groups]


class _Cell(NamedTuple):
    """The figures of one task and model."""

    model: int
    task: str
    split: str
    figures: dict[str, Any]

    def figure(self, metric: str, *, of: str, low_coverage: bool = False) -> Figure:
        value, low, high = (number_of(self.figures, f"{metric}{end}") for end in ("", "_low", "_high"))
        ends = "" if math.isnan(low) or math.isnan(high) else f" ({number(low)} to {number(high)})"
        said = f"{number(value)}{ends}{', low coverage' * low_coverage}"
        return Figure(value, low, high, low_coverage, said, f"{of}, {self.task}, {metric}")


def page_of(evaluations: Sequence[Evaluation], *, pairs: Sequence[Pair] = ()) -> Page:
    """Return the data of a report.

    Args:
        evaluations: The evaluations, in the order of the columns.
        pairs: Names of the models to compare, the earlier first; by default the last with each other one.

    Raises:
        UserError: If a chosen pair names an unknown model or has no row in common.
    """
    rows = rows_of(evaluations)
    cells = list(_cells(evaluations))
    names = [one.name for one in evaluations]
    return Page(
        models=[_model(one) for one in evaluations],
        rows=rows,
        means=means_of(rows, evaluations),
        differences=_differences(evaluations, pairs),
        accuracy=_accuracy(evaluations, cells, names),
        learning=_learning(cells, names),
        divergences=_divergences(cells, names),
        validity=_validity(cells, names),
        calibration=_calibration(evaluations, cells),
        readings=readings_of(evaluations),
        missing=_missing(evaluations),
    )


def _missing(evaluations: Sequence[Evaluation]) -> list[tuple[str, str, str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for one in evaluations:
        for task, parts in one.file.missing.items():
            found.setdefault((task, ". ".join(parts.values())), []).append(one.name)
    return [(task, text, ", ".join(names)) for (task, text), names in found.items()]


def _cells(evaluations: Sequence[Evaluation]) -> Iterator[_Cell]:
    split = splits_of(one.paired for one in evaluations)
    for model, one in enumerate(evaluations):
        figures = {task: own for task, _, own in headlines(one.headlines_of())}
        yield from (_Cell(model, task, split(task), own) for task, own in figures.items())


def _model(one: Evaluation) -> Model:
    config = one.file.config or {}
    settings = {"dtype": config.get("dtype"), "seed": config.get("seed"), "limit": config.get("limit")}
    options = config.get("metadata")
    settings |= options if isinstance(options, dict) else {}
    settings.pop("format", None)
    formats = ", ".join(sorted(set(one.paired.formats.values())))
    said = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    return Model(one.name, one.model, formats or "—", len(one.file.results), said or "—")


def _differences(evaluations: Sequence[Evaluation], pairs: Sequence[Pair]) -> list[Difference]:
    known = {one.name: one for one in evaluations}
    if unknown := [name for pair in pairs for name in pair if name not in known]:
        raise UserError(*(f"--pair: no model is named {name!r}.{nearest(name, known)}" for name in unknown))
    split = splits_of(one.paired for one in evaluations)
    chosen = pairs or [(one.name, evaluations[-1].name) for one in evaluations[:-1]]
    found = []
    for first, second in chosen:
        try:
            compared = compare(known[first].paired, known[second].paired, group=split)
            problem = ""
        except UserError as error:
            if pairs:
                raise
            compared, problem = None, str(error)
        mark = marks_of((known[first].paired, known[second].paired))
        found.append(Difference(first, second, compared, problem, mark))
    return found


def _table(
    cells: Sequence[_Cell], metric: str, figure: Callable[[_Cell], Figure]
) -> dict[str, dict[int, Figure]]:
    """Return the figures of the tasks that have a metric."""
    rows: dict[str, dict[int, Figure]] = {}
    for cell in sorted((cell for cell in cells if metric in cell.figures), key=lambda cell: cell.task):
        rows.setdefault(cell.task, {})[cell.model] = figure(cell)
    return rows


def _accuracy(
    evaluations: Sequence[Evaluation], cells: Sequence[_Cell], names: Sequence[str]
) -> list[Points]:
    common = {
        task: {"always the commonest answer": own.commonest}
        for one in reversed(evaluations)
        for task, own in one.samples.items()
        if own.commonest is not None
    }
    found = []
    for split in SPLITS:
        rows = _table(
            [cell for cell in cells if cell.split == split],
            "accuracy",
            lambda cell: cell.figure("accuracy", of=names[cell.model]),
        )
        for first in range(0, len(rows), TALLEST):
            part = dict(list(rows.items())[first : first + TALLEST])
            alt = f"Accuracy of {', '.join(names)} for each of {counted(len(part), 'task')}."
            title = f"{split}, continued" if first else split
            found.append(points(title, part, unit="accuracy", alt=alt, references=common, within=(0.0, 1.0)))
    return found


def _learning(cells: Sequence[_Cell], names: Sequence[str]) -> list[Curves]:
    found = []
    tasks = dict.fromkeys((cell.task, cell.split) for cell in _by_split(cells) if "loss_at_1" in cell.figures)
    for task, split in tasks:
        lines: dict[int, dict[float, Figure]] = {}
        for cell in (cell for cell in cells if cell.task == task):
            line = {k: cell.figure(name, of=names[cell.model]) for name, k in _steps(cell.figures).items()}
            lines[cell.model] = {k: one for k, one in line.items() if not math.isnan(one.value)}
        alt = f"Loss of {', '.join(names)} by number of examples in {task}."
        title = f"{task} ({split})"
        found.append(curves(title, lines, across="examples seen", up="loss (nats)", alt=alt))
    return found


def _steps(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are losses after a number of examples, with these numbers."""
    found = {name: AFTER.fullmatch(name) for name in figures}
    return {"loss_first": 0.0} | {name: float(match[1]) for name, match in found.items() if match}


def _divergences(cells: Sequence[_Cell], names: Sequence[str]) -> list[Points]:
    found = []
    for metric, title in (
        ("js_divergence", "Jensen-Shannon divergence"),
        ("log_loss", "Loss of an answer, and its floor"),
    ):
        own = [cell for cell in cells if metric in cell.figures]
        rows = _table(own, metric, partial(_shares, metric=metric, names=names))
        beside = {
            cell.task: {
                "floor": floor_of(metric, cell.figures),
                **baselines_of(metric, cell.figures),
            }
            for cell in own
        }
        if rows:
            alt = f"{title}: {', '.join(names)} for each of {counted(len(rows), 'task')}."
            found.append(points(title, rows, unit="nats", alt=alt, references=beside))
    return found


def _shares(cell: _Cell, *, metric: str, names: Sequence[str]) -> Figure:
    low_coverage = has_low_coverage(metric, cell.figures)
    return cell.figure(metric, of=names[cell.model], low_coverage=low_coverage)


def _validity(cells: Sequence[_Cell], names: Sequence[str]) -> list[Curves]:
    found: dict[int, list[tuple[float, Figure]]] = {}
    for cell in cells:
        x = number_of(cell.figures, "share_valid")
        y = cell.figure("share_unique", of=names[cell.model])
        if "share_unique" in cell.figures and not math.isnan(x) and not math.isnan(y.value):
            listed = cell.figures.get(ANSWERS_TRAINED_ON)
            said = f"{y.text} of valid samples, {number(x)} valid" + (f", {listed}" if listed else "")
            # Without intervals, which would hide the many points.
            found.setdefault(cell.model, []).append((x, Figure(y.value, text=said, of=y.of)))
    alt = f"Validity and diversity of the samples of {', '.join(names)}, by task, with contours of yield."
    return [validity("Every task", found, alt=alt)] if found else []


def _calibration(evaluations: Sequence[Evaluation], cells: Sequence[_Cell]) -> list[Curves]:
    found = []
    for task, split in dict.fromkeys((cell.task, cell.split) for cell in _by_split(cells)):
        lines = {
            model: [
                (
                    one.probability,
                    Figure(one.frequency, text=f"{counted(one.n, 'token')}", of=f"{own.name}, {task}"),
                )
                for one in own.samples[task].curve
            ]
            for model, own in enumerate(evaluations)
            if task in own.samples and own.samples[task].curve
        }
        if lines:
            alt = f"How often tokens occurred in {task}, by their probability; the diagonal is perfect."
            found.append(calibration(f"{task} ({split})", lines, alt=alt))
    return found


def _by_split(cells: Sequence[_Cell]) -> list[_Cell]:
    return sorted(cells, key=lambda cell: (SPLITS.index(cell.split), cell.task))
