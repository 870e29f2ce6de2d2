"""Generative social choice: two surveys in which people rated how well statements express their own view.

- `generativesocialchoice_validation` holds the ratings of the validation sample (200 people, 1,500 ratings).
  The research code's task of that name also takes the 1,100 ratings of the other 200 people, and asks for the
  reason with each rating.
- `generativesocialchoice_freetext` holds what those others wrote. Some questions build on earlier ones; as
  every order is to be equally likely, they are mixed all the same. One answer is empty and left out.
- Questions are shown without their HTML, and the descriptions name the survey's topic. No count changes.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import yaml

from spectrum_trl.suite.builders import Built, grouped, keep_rows
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

SOURCE = Source(
    name="generativesocialchoice", title="generative-social-choice/survey_data", licence="unstated"
)

FOLDER = "generativesocialchoice/data"
SURVEYS = {"abortion": "abortion", "chatbot_personalization": "the personalization of chatbots"}
RATED = ("user_id", "question_text", "json_choices", "choice", "sample_type")
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
FREETEXT_DESCRIPTIONS = (
    "One person answers the open questions of a survey about {topic} in their own words.",
    "Free text answers of a single survey participant. The survey is on {topic}; each input is a question, "
    "each output what this person wrote.",
    "What does this respondent write when asked about {topic}?",
)


@cache
def _scale(choices: str) -> tuple[str, ...]:
    # YAML reads both quote styles that the two files use.
    return tuple(yaml.safe_load(choices))


def _plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html)).strip()


def _rating(row: dict[str, Any]) -> dict[str, Any]:
    scale = _scale(row["json_choices"])
    found = STATEMENT.search(_plain(row["question_text"]))
    return row | {
        "statement": found and found[1],
        "rating": row["choice"] if row["choice"] in scale else None,
        "scale": ", ".join(scale),
    }


def _ratings(path: Path, *, dropped: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield what the validation sample rated."""
    for row in csv_rows(path, RATED):
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


def freetext(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build one sequence per participant who answered open questions."""
    for survey, topic in SURVEYS.items():
        rows = csv_rows(
            data_dir / FOLDER / f"{survey}_survey.csv", ("user_id", "question_type", "question_text", "text")
        )
        yield from grouped(
            keep_rows(
                rows,
                lambda row: row["question_type"] == "text",
                reason="not a question with a free answer",
                dropped=dropped,
            ),
            constants={"survey": survey, "topic": topic},
            group_by=("survey", "user_id"),
            input=lambda row: _plain(row["question_text"]),
            output="text",
            descriptions=FREETEXT_DESCRIPTIONS,
            seed=seed,
            dropped=dropped,
        )


TASKS = [
    Task(
        name="generativesocialchoice_validation",
        summary="one person's ratings of how well statements express their view",
        source=SOURCE,
        kind="individual",
        split="train",
        files=tuple(f"{FOLDER}/{survey}_survey.csv" for survey in SURVEYS),
        build=validation,
    ),
    Task(
        name="generativesocialchoice_freetext",
        summary="one person's answers to the open questions of a survey",
        source=SOURCE,
        kind="individual",
        split="train",
        files=tuple(f"{FOLDER}/{survey}_survey.csv" for survey in SURVEYS),
        build=freetext,
    ),
]
