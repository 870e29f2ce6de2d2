"""Survey mode: groups and questions in, shares of answers out, scored where true ones are known."""

import math
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from spectrum_trl.ask.questions import Question
from spectrum_trl.ask.results import Probabilities
from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, nearest
from spectrum_trl.evaluation.axis_tasks import lettered, shares
from spectrum_trl.metrics.distributional import Comparison, compare_logs, uniform_guess
from spectrum_trl.metrics.intervals import ratio_interval
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.sequences.declared import columns_of


class Model(Protocol):
    """The part of a `SpectrumModel` that a survey needs."""

    def check_questions(self, questions: Sequence[Question]) -> None:
        """Check questions before any is answered."""

    def probabilities_of(
        self, answers: Sequence[Sequence[Any]], questions: Sequence[Question]
    ) -> list[Probabilities]:
        """Return the probabilities of each question's answers."""


DESCRIPTION = (
    "Answers to a survey question by people of the group “{group}”, one person picked at random for each "
    "answer. An answer is the letter of one option."
)
COLUMNS = ("group", "question", "options")
# The true shares, if they are known.
TRUE = "shares"
# Scores, and the range of each; the uniform guess is the baseline of all but the coverage.
SCORES = {
    "js_divergence": (0.0, math.log(2)),
    "log_loss": (0.0, math.inf),
    "total_variation": (0.0, 1.0),
    "mode_match": (0.0, 1.0),
}
# Questions scored together.
BLOCK = 256
PROBLEMS_SHOWN = 20
_ROW = re.compile(r"^questions\[(\d+)\]: ")


class Asked(NamedTuple):
    """A group and a question.

    Attributes:
        group: Its name.
        question: Its text.
        options: Possible answers.
        shares: The true share of each, or None.
    """

    group: str
    question: str
    options: tuple[str, ...]
    shares: tuple[float, ...] | None


class Survey(NamedTuple):
    """The results of a survey.

    Attributes:
        long: One row a group, question and option.
        wide: One row a group and question, with a column for each letter.
        scores: One row a score, with its interval and the uniform guess; empty without true shares.
    """

    long: pd.DataFrame
    wide: pd.DataFrame
    scores: pd.DataFrame


def read_table(table: pd.DataFrame, *, names: Mapping[str, str] | None = None) -> list[Asked]:
    """Read a table of groups and questions.

    Args:
        table: Columns ``group``, ``question``, ``options`` (a list, or JSON or texts between ``|``), and
            optionally ``shares`` (numbers in the order of the options, or a mapping from options to them).
        names: Other names of these columns.

    Raises:
        UserError: With every problem at once (at most 20), and the number of its row.
    """
    called = {name: (names or {}).get(name, name) for name in (*COLUMNS, TRUE)}
    if lacking := [called[name] for name in COLUMNS if called[name] not in table]:
        present = [str(name) for name in table]
        raise UserError(
            *(
                f"there is no column {name!r}.{nearest(name, present)} It has {', '.join(present)}."
                for name in lacking
            )
        )
    found, problems = [], []
    for number, row in enumerate(table.to_dict("records"), start=1):
        try:
            found.append(_asked({name: _plain(row.get(column)) for name, column in called.items()}))
        except (ValueError, OverflowError) as error:
            problems.append(f"row {number}: {error}")
    if problems or not found:
        more = (
            [f"and {counted(len(problems) - PROBLEMS_SHOWN, 'more row')}"]
            if len(problems) > PROBLEMS_SHOWN
            else []
        )
        raise UserError(*(problems[:PROBLEMS_SHOWN] + more or ["the table has no row"]))
    return found


def _asked(row: Mapping[str, Any]) -> Asked:
    options = _parsed(row["options"], "options")
    if isinstance(options, str):
        options = options.split("|")
    if not isinstance(options, Sequence) or not 2 <= len(options) <= len(string.ascii_uppercase):
        raise ValueError(f"options: expected 2 to 26 of them, such as yes|no, found {row['options']!r:.80}")
    texts = tuple(str(option).strip() for option in options)
    if len(set(texts)) < len(texts) or not all(texts):
        raise ValueError(f"options: one is empty or named twice in {texts!r:.80}")
    if any(not isinstance(row[name], str) or not row[name].strip() for name in ("group", "question")):
        raise ValueError("group and question: expected texts that are not empty")
    return Asked(row["group"].strip(), row["question"].strip(), texts, _shares(row[TRUE], texts))


def _plain(cell: Any) -> Any:
    """Return a cell of numpy's types as Python's."""
    if isinstance(cell, list | tuple):
        return [_plain(one) for one in cell]
    return cell.tolist() if isinstance(cell, np.ndarray | np.generic) else cell


def _parsed(cell: Any, name: str) -> Any:
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    try:
        return strict_json(cell)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _shares(cell: Any, options: Sequence[str]) -> tuple[float, ...] | None:
    found = _parsed(cell, TRUE)
    if found is None or found == "" or (isinstance(found, float) and math.isnan(found)):
        return None
    if isinstance(found, Mapping):
        if unknown := sorted(set(map(str, found)) - set(options)):
            raise ValueError(f"shares: {unknown[0]!r:.80} is no option")
        found = [found.get(option, 0) for option in options]
    right = isinstance(found, Sequence) and len(found) == len(options)
    if not right or not all(isinstance(one, int | float) and 0 <= one < math.inf for one in found):
        raise ValueError(f"shares: expected {len(options)} numbers from 0 on, found {cell!r:.80}")
    if not any(found):
        raise ValueError("shares: all are 0")
    return shares(found)


def survey(
    asked: Sequence[Asked],
    *,
    model: Model,
    description: str = DESCRIPTION,
    seed: int = 0,
) -> Survey:
    """Ask a model every question for every group.

    Args:
        asked: Groups and questions.
        model: A `SpectrumModel`.
        description: Of the prompts; ``{group}`` stands for the group's name.
        seed: Of the intervals.

    Raises:
        UserError: If the description has no ``{group}``, or other braces, or the model cannot be asked.
    """
    questions, found = checked_questions(asked, model=model, description=description), list[Probabilities]()
    for start in range(0, len(asked), BLOCK):
        block = slice(start, start + BLOCK)
        found += answers(asked[block], questions[block], model=model)
    return tables(asked, found, seed=seed)


def checked_questions(asked: Sequence[Asked], *, model: Model, description: str) -> list[Question]:
    """Return the questions to a model; arguments and errors as for `survey`."""
    questions = [_question(one, description) for one in asked]
    try:
        model.check_questions(questions)
    except UserError as error:
        # Rows are counted from 1.
        raise UserError(*(_ROW.sub(_in_row, problem) for problem in error.problems)) from error
    return questions


def answers(asked: Sequence[Asked], questions: Sequence[Question], *, model: Model) -> list[Probabilities]:
    """Return the probabilities of the letters of each question's options."""
    letters = [tuple(string.ascii_uppercase[: len(one.options)]) for one in asked]
    return model.probabilities_of(letters, questions)


def tables(asked: Sequence[Asked], found: Sequence[Probabilities], *, seed: int = 0) -> Survey:
    """Return the results of a survey.

    Args:
        asked: Groups and questions.
        found: For each the probabilities of its letters.
        seed: Of the intervals.
    """
    return Survey(_long(asked, found), _wide(asked, found), _scores(asked, found, seed=seed))


def _in_row(found: re.Match[str]) -> str:
    return f"row {int(found[1]) + 1}: "


def check_description(description: str) -> None:
    """Check that a description names the group, and nothing else.

    Raises:
        UserError: If it does not.
    """
    if columns_of([description]) != ["group"]:
        raise UserError(f"description: expected {{group}}, and no other braces, in {description!r:.80}")


def _question(one: Asked, description: str) -> Question:
    asked = f"{one.question}\n{lettered(one.options)}"
    return Question(description=description.format(group=one.group), input=asked)


def _long(asked: Sequence[Asked], found: Sequence[Probabilities]) -> pd.DataFrame:
    rows = [
        {
            "group": one.group,
            "question": one.question,
            "option": option,
            "share": share,
            "coverage": p.coverage,
            "low_coverage": p.low_coverage,
        }
        | ({"true_share": one.shares[n]} if one.shares else {})
        for one, p in zip(asked, found, strict=True)
        for n, (option, share) in enumerate(zip(one.options, p.normalised, strict=True))
    ]
    return pd.DataFrame(rows)


def _wide(asked: Sequence[Asked], found: Sequence[Probabilities]) -> pd.DataFrame:
    rows = []
    for one, p in zip(asked, found, strict=True):
        row: dict[str, Any] = {"group": one.group, "question": one.question}
        row |= dict(zip(string.ascii_uppercase, p.normalised, strict=False))
        row |= {"coverage": p.coverage, "low_coverage": p.low_coverage}
        if one.shares:
            comparison = compare_logs(one.shares, p.log_probabilities)
            row |= {name: getattr(comparison, name) for name in SCORES}
        rows.append(row)
    table = pd.DataFrame(rows)
    first = ["group", "question", *(letter for letter in string.ascii_uppercase if letter in table)]
    return table[[*first, *(name for name in table if name not in first)]]


def _scores(asked: Sequence[Asked], found: Sequence[Probabilities], *, seed: int) -> pd.DataFrame:
    """Average over questions, with intervals that resample whole questions, and the uniform guess."""
    known = [
        (one.question, compare_logs(one.shares, p.log_probabilities), uniform_guess(one.shares))
        for one, p in zip(asked, found, strict=True)
        if one.shares
    ]
    clusters = {question: n for n, question in enumerate(dict.fromkeys(question for question, *_ in known))}
    places = [clusters[question] for question, *_ in known]
    counts = np.bincount(places, minlength=len(clusters))
    low = sum(p.low_coverage for one, p in zip(asked, found, strict=True) if one.shares)
    rows = []
    for name, within in {**SCORES, "coverage": (0.0, 1.0)}.items() if known else ():

        def values(of: Sequence[Comparison], name: str = name) -> np.ndarray:
            return np.array([float(getattr(one, name)) for one in of])

        model = values([one for _, one, _ in known])
        interval = ratio_interval(np.bincount(places, model), counts, seed=seed, within=within)
        uniform = values([guess for *_, guess in known]).mean() if name in SCORES else None
        row = {"score": name, "model": interval.mean, "low": interval.low, "high": interval.high}
        row |= {"uniform_guess": uniform, "rows": len(known), "questions": len(clusters)}
        rows.append(row | {"low_coverage_rows": low})
    return pd.DataFrame(rows)
