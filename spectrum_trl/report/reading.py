"""Read evaluations for a report: their figures, the calibration of tokens, and a few samples of each task."""

import os
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.evaluation.results import (
    ANSWERS_TRAINED_ON,
    Results,
    read_results,
    sample_lines,
    samples_file,
)
from spectrum_trl.metrics.calibration import Bin, calibration_curve
from spectrum_trl.strict.json import read_json
from spectrum_trl.strict.schema import parsed

# Rows of a task that are kept to be read.
KEPT = 2
# Probabilities may be above 1 by this much through rounding.
ROUNDING = 1e-3
# A longer name would leave no room for figures.
LONGEST_NAME = 60
MARGINAL = "marginal_js_divergence"


class Samples(NamedTuple):
    """A summary of the samples of one task.

    Attributes:
        rows: The first rows by the index and the hash of their document.
        curve: Bins of token probabilities and frequencies; empty if the evaluation has none.
        commonest: Share in [0, 1] of the commonest output among all outputs after the first; None if there
            is none.
    """

    rows: dict[tuple[int, str], dict[str, Any]]
    curve: list[Bin]
    commonest: float | None


class File(BaseModel):
    """The parts of a results file that a report shows."""

    results: dict[str, dict[str, Any]]
    configs: dict[str, dict[str, Any]] = {}
    rows: dict[str, dict[str, Any]] = Field({}, alias="n-samples")
    missing: dict[str, dict[str, str]] = {}
    model_name: str | None = None
    config: dict[str, Any] | None = None


class Evaluation(NamedTuple):
    """One evaluation of a model.

    Attributes:
        name: The model's name in the report.
        model: The model as it was evaluated.
        file: The figures.
        paired: The values of single rows, for comparisons.
        samples: Task to what its samples show.
        sources: The results files.
    """

    name: str
    model: str
    file: File
    paired: Results
    samples: dict[str, Samples]
    sources: tuple[Path, ...]

    def headlines_of(self) -> dict[str, Any]:
        """Return the figures as `spectrum_trl.evaluation.headlines.headlines` takes them."""
        answers = {ANSWERS_TRAINED_ON: self.paired.answers_trained_on}
        results = {
            task: {key: value for key, value in figures.items() if not self._is_of_fewer(task, key)}
            for task, figures in self.file.results.items()
        }
        return {"results": results, "n-samples": self.file.rows} | answers

    def _is_of_fewer(self, task: str, key: str) -> bool:
        """Return whether a figure is a marginal over fewer items than a model's, as in earlier results."""
        rows = self.paired.rows.get(task, {})
        known = rows.get(MARGINAL, {}) if key.partition(",")[0] == MARGINAL else {}
        return 0 < len(known) < len(rows.get("js_divergence", {}))


def read_evaluations(words: Sequence[str]) -> list[Evaluation]:
    """Read the evaluations that a report shows.

    Args:
        words: Results folders or files, or ``NAME=PATH`` to give a model another name in the report. Further
            tasks of the same model may be in other evaluations, given by the same name.

    Raises:
        UserError: If one is no evaluation, or two of the same name have the same tasks or are not of the same
            model.
    """
    problems: list[str] = []
    found: dict[str, Evaluation] = {}
    for word in words:
        try:
            one = _read(word)
            found[one.name] = _joined(found[one.name], one) if one.name in found else one
        except UserError as error:
            problems += error.problems
    refuse(problems)
    return list(found.values())


def _joined(first: Evaluation, other: Evaluation) -> Evaluation:
    """Return both evaluations as one of all their tasks."""
    if why := _why_apart(first, other):
        raise UserError(
            f"{other.paired.file}: several results {why} are named {first.name!r}; give each a name, as in "
            f"before={other.paired.file.parent}"
        )
    parts = "results configs rows missing".split()
    file = {name: getattr(first.file, name) | getattr(other.file, name) for name in parts}
    # What one lacked the data for, the other may have evaluated.
    file["missing"] = {task: how for task, how in file["missing"].items() if task not in file["results"]}
    file["config"] = _both(first.file.config or {}, other.file.config or {})
    parts = "higher_is_better formats rows data_of answers_trained_on held_out rare_long".split()
    paired = {name: getattr(first.paired, name) | getattr(other.paired, name) for name in parts}
    return first._replace(
        file=first.file.model_copy(update=file),
        paired=first.paired._replace(**paired),
        samples=first.samples | other.samples,
        sources=first.sources + other.sources,
    )


def _why_apart(first: Evaluation, other: Evaluation) -> str:
    """Return what tells two evaluations apart that cannot be joined; empty if they can."""
    if first.model != other.model:
        return "of several models"
    if twice := sorted(first.file.results.keys() & other.file.results):
        return f"of {', '.join(twice[:3])}"
    # A folder holds another model once it is trained again.
    trained = [(one.paired.trained_on, one.paired.held_out_in_training) for one in (first, other)]
    return "of a model that was trained on different data" if trained[0] != trained[1] else ""


def _both(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of two evaluations, with both values where they differ."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys([*first, *other]):
        own, its = first.get(name), other.get(name)
        if isinstance(own, Mapping) and isinstance(its, Mapping):
            found[name] = _both(own, its)
        else:
            values = ("none" if value is None else value for value in (own, its))
            found[name] = own if own == its else " / ".join(map(str, values))
    return found


def _read(word: str) -> Evaluation:
    given, equals, rest = word.partition("=")
    if not equals or os.path.exists(word):
        given, rest = "", word
    elif not given.strip() or len(given) > LONGEST_NAME:
        raise UserError(f"{word[:80]!r}: expected NAME=PATH with a name of 1 to {LONGEST_NAME} characters")
    if not os.path.exists(rest):
        raise UserError(f"{rest} contains no evaluation: there is no such folder or file")
    paired = read_results(Path(rest))
    raw = read_json(paired.file, finite=False)
    file = parsed(File, raw, before=f"{paired.file}: ")
    model = file.model_name or ""
    samples = {task: _samples(samples_file(paired.file, task)) for task in paired.rows}
    return Evaluation(given or _name(model, rest), model or rest, file, paired, samples, (paired.file,))


def _name(model: str, path: str) -> str:
    """Return a short name: the Hub id, or the last part of a folder's path."""
    own = model if model and not Path(model).is_absolute() else Path(model or path).resolve().name
    return own[-LONGEST_NAME:]


def _samples(file: Path) -> Samples:
    kept: dict[tuple[int, str], dict[str, Any]] = {}
    # Millions of tokens stay small as plain numbers.
    correct, rivals = array("d"), array("d")
    outputs: Counter[str] = Counter()
    for number, row in sample_lines(file):
        tokens = row.get("calibration_error")
        if isinstance(tokens, Mapping):
            try:
                correct.extend(tokens.get("correct", ()))
                rivals.extend(chain.from_iterable(tokens.get("rivals", ())))
            except TypeError as error:
                raise UserError(
                    f"{file}, line {number}: no log-probabilities of tokens: {error!r}"
                ) from error
        outputs.update(_outputs(row)[1:])
        if len(kept) < KEPT:
            kept[(int(row["doc_id"]), str(row["doc_hash"]))] = row
    if max(max(correct, default=0.0), max(rivals, default=0.0)) > ROUNDING:
        raise UserError(f"{file}: a log-probability above 0; evaluate again")
    commonest = max(outputs.values()) / outputs.total() if outputs else None
    return Samples(kept, calibration_curve(correct, rivals), commonest)


def _outputs(row: Mapping[str, Any]) -> list[str]:
    doc = row.get("doc")
    messages = doc.get("messages") if isinstance(doc, Mapping) else None
    turns = messages if isinstance(messages, list) else []
    return [
        str(turn.get("content")) for turn in turns if isinstance(turn, dict) and turn.get("role") == "output"
    ]
