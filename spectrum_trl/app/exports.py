"""Export a page as JSON, as CSV, and as the Python code that reproduces it."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from spectrum_trl.app.answering import Found, Shown, steps_of
from spectrum_trl.app.draft import Draft
from spectrum_trl.files import finite

COLUMNS = (
    *("model", "examples", "answer", "probability", "normalised"),
    *("uniform_guess", "coverage", "low_coverage"),
)


def as_json(draft: Draft, found: Sequence[Found]) -> str:
    """Return the question and every model's answers."""
    models = [
        {
            "model": one.name,
            "path": [_step(step.examples, step.found.rows(), step.found.low_coverage) for step in one.path],
            "samples": [sample._asdict() for sample in one.samples],
        }
        for one in found
    ]
    return json.dumps(finite({"asked": draft.model_dump(), "models": models}), indent=2, ensure_ascii=False)


def _step(examples: int, rows: Sequence[dict[str, Any]], low: bool) -> dict[str, Any]:
    answers = [{name: row[name] for name in ("answer", "probability", "normalised")} for row in rows]
    return {
        "examples": examples,
        "answers": answers,
        "coverage": rows[0]["coverage"],
        "low_coverage": low,
        "uniform_guess": 1 / len(rows),
    }


def as_csv(found: Sequence[Found]) -> str:
    """Return one row a model, number of examples and answer."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in found:
        for step in one.path:
            shared = {"model": one.name, "examples": step.examples, "low_coverage": step.found.low_coverage}
            shared["uniform_guess"] = 1 / len(step.found.answers)
            writer.writerows(shared | row for row in step.found.rows())
    return out.getvalue()


def as_python(draft: Draft, models: Sequence[Shown], *, draws: bool) -> str:
    """Return a script that prints what the page shows, with every text as a literal.

    Args:
        draft: What was entered.
        models: The models.
        draws: Whether samples are shown.
    """
    lines = ["from spectrum_trl import SpectrumModel", "", f"question = {draft.question()!r}"]
    if draft.answers:
        lines += ["examples = question.pop('examples', [])", f"answers = {draft.answers!r}"]
    for shown in models:
        words = "".join(f", {name}={value!r}" for name, value in shown.settings.items())
        lines += ["", f"model = SpectrumModel.from_pretrained({shown.name!r}{words})"]
        if draft.answers:
            steps = steps_of(draft, shown.model)
            lines += [
                f"numbers = range({steps[0]}, {steps[-1] + 1})",
                "questions = [{**question, 'examples': examples[:n]} for n in numbers]",
                "found = model.probabilities(answers, questions=questions)",
                "print(found.to_string())",
            ]
        if draws:
            rest = "examples=examples, **question" if draft.answers else "**question"
            asked = f"{draft.samples}, seed={draft.seed}, max_new_tokens={shown.max_new_tokens}"
            lines += [f"samples = model.sample({asked}, {rest})", "print(samples)"]
    return "\n".join(lines) + "\n"
