"""Generative social choice: two surveys in which people rated how well statements express their own view."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import yaml

from spectrum_trl.suite.builders import Built, grouped
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

FOLDER = "generativesocialchoice/data"
SURVEYS = {"abortion": "abortion", "chatbot_personalization": "the personalization of chatbots"}
COLUMNS = ("user_id", "question_text", "json_choices", "choice", "sample_type")
# The statement is quoted between an opening line and the question about it.
STATEMENT = re.compile(r"(?:statement|summary):\s*[\"“](.+)[\"”]\s*(?:To what extent|How well)", re.DOTALL)

DESCRIPTIONS = (
    "One survey participant rates how well statements about {topic} capture their own opinion. Possible "
    "answers, from worst to best: {scale}.",
    "A person's views on {topic}: each input is a statement, each output is how well it expresses what this "
    "person thinks ({scale}).",
    "Ratings given by a single respondent in a survey on {topic}. To what degree does each statement "
    "represent the respondent's position? Scale: {scale}.",
)


@cache
def _scale(choices: str) -> tuple[str, ...]:
    # YAML reads both quote styles that the two files use.
    return tuple(yaml.safe_load(choices))


def _rating(row: dict[str, Any]) -> dict[str, Any]:
    scale = _scale(row["json_choices"])
    found = STATEMENT.search(unescape(re.sub(r"<[^>]+>", "", row["question_text"])))
    return row | {
        "statement": found and found[1],
        "rating": row["choice"] if row["choice"] in scale else None,
        "scale": ", ".join(scale),
    }


def _ratings(path: Path, *, dropped: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield what the validation sample rated."""
    for row in csv_rows(path, COLUMNS):
        if row["sample_type"] != "validation":
            dropped["not in the validation sample"] += 1
        elif not row["json_choices"]:
            dropped["not a rating"] += 1
        else:
            yield _rating(row)


def validation(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build one sequence per participant of the validation sample."""
    for survey, topic in SURVEYS.items():
        yield from grouped(
            _ratings(data_dir / FOLDER / f"{survey}_survey.csv", dropped=dropped),
            constants={"survey": survey, "topic": topic},
            group_by=("survey", "user_id"),
            input="statement",
            output="rating",
            descriptions=DESCRIPTIONS,
            seed=seed,
            dropped=dropped,
        )


TASKS = [
    Task(
        name="generativesocialchoice_validation",
        summary="one person's ratings of how well statements express their view",
        source="generative-social-choice/survey_data",
        kind="individual",
        split="train",
        files=tuple(f"{FOLDER}/{survey}_survey.csv" for survey in SURVEYS),
        build=validation,
    )
]
