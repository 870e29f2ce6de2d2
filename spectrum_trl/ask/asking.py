"""Ask questions, and return the answers as JSON and as rows of a table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from spectrum_trl.ask.questions import Question
from spectrum_trl.ask.results import Probabilities
from spectrum_trl.ask.rows import Row, Templates, answers_of
from spectrum_trl.errors import UserError

if TYPE_CHECKING:
    from spectrum_trl.ask.model import SpectrumModel


class Wanted(NamedTuple):
    """The request for each question: one of the first four, or else the likeliest answers.

    Attributes:
        answers: Probabilities of these.
        schema: Probabilities of all values that a JSON Schema allows.
        sample: Number of samples.
        top: Number of first tokens.
        seed: Of the samples.
        max_new_tokens: Maximum number of tokens of an answer.
    """

    answers: tuple[str, ...] | None = None
    schema: Mapping[str, Any] | None = None
    sample: int | None = None
    top: int | None = None
    seed: int = 0
    max_new_tokens: int = 256


def ask(
    model: "SpectrumModel", questions: Sequence[Question], wanted: Wanted, own: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Return the answer to each question as JSON.

    Args:
        model: The model.
        questions: The questions.
        wanted: What is asked.
        own: For each question its own answers, or None; empty if none has any.
    """
    if wanted.sample:
        settings: Any = {"seed": wanted.seed, "max_new_tokens": wanted.max_new_tokens}
        return [
            {"samples": [one._asdict() for one in model.sample(wanted.sample, **settings, **question)]}
            for question in questions
        ]
    if wanted.top:
        found = [model.top_tokens(wanted.top, **question) for question in questions]
        return [{"tokens": [one._asdict() for one in tokens]} for tokens in found]
    if wanted.schema is not None:
        joint = [model.probabilities_json(wanted.schema, **question) for question in questions]
        return [
            _covered(
                [
                    {"value": value, **_of(row)}
                    for value, row in zip(one.values, one.found.rows(), strict=True)
                ],
                one.found,
            )
            for one in joint
        ]
    lists = [wanted.answers if mine is None else mine for mine in (own or [None] * len(questions))]
    listed = [n for n, one in enumerate(lists) if one is not None]
    probable = model.probabilities_of([lists[n] or () for n in listed], [questions[n] for n in listed])
    shares = dict(zip(listed, map(_listed, probable), strict=True))
    return [shares.get(n) or _likeliest(model, question, wanted) for n, question in enumerate(questions)]


def _listed(found: Probabilities) -> dict[str, Any]:
    return _covered([{"answer": row["answer"], **_of(row)} for row in found.rows()], found)


def _likeliest(model: "SpectrumModel", question: Question, wanted: Wanted) -> dict[str, Any]:
    one = model.distribution(max_new_tokens=wanted.max_new_tokens, **question)
    answers = zip(one.answers, one.probabilities, strict=True)
    found = [{"answer": answer, "probability": p} for answer, p in answers]
    return {"answers": found, "mass": one.mass, "exhausted": one.exhausted}


def _of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("probability", "normalised")}


def _covered(answers: list[dict[str, Any]], found: Probabilities) -> dict[str, Any]:
    return {"answers": answers, "coverage": found.coverage, "low_coverage": found.low_coverage}


def check_wanted(model: "SpectrumModel", wanted: Wanted) -> None:
    """Check what is asked of every row alike, before any is answered.

    Raises:
        UserError: If no model could answer it.
    """
    if wanted.answers is not None:
        model.check_answers(wanted.answers)
    if wanted.schema is not None:
        from spectrum_trl.ask.schemas import allowed_values

        model.check_answers(allowed_values(wanted.schema))


def ask_rows(
    model: "SpectrumModel", rows: Sequence[Row], templates: Templates, wanted: Wanted
) -> list[dict[str, Any]]:
    """Return the answer to each row of a file, or what is wrong with it, with its number.

    Args:
        model: The model.
        rows: A block of rows.
        templates: What all share.
        wanted: What is asked.
    """
    try:
        found = _together(model, rows, templates, wanted)
    except UserError:
        # One bad row is no reason to lose the others.
        found = [_alone(model, row, templates, wanted) for row in rows]
    return [{"row": row.number, **one} for row, one in zip(rows, found, strict=True)]


def _together(
    model: "SpectrumModel", rows: Sequence[Row], templates: Templates, wanted: Wanted
) -> list[dict[str, Any]]:
    if problems := [row.problem for row in rows if row.problem]:
        raise UserError(*problems)
    questions = [templates.question(row.fields) for row in rows]
    return ask(model, questions, wanted, [answers_of(row.fields) for row in rows])


def _alone(model: "SpectrumModel", row: Row, templates: Templates, wanted: Wanted) -> dict[str, Any]:
    try:
        return _together(model, [row], templates, wanted)[0]
    except UserError as error:
        # Blocks are numbered from 0, and this one holds a single row, whose number stands beside it.
        return {"error": "; ".join(problem.removeprefix("questions[0]: ") for problem in error.problems)}
