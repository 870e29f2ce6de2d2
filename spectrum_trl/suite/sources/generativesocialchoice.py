"""Generative social choice: two surveys in which people rated how well statements express their own view.

Some open questions build on earlier ones; they are shuffled nevertheless, because samples are exchangeable.
One free answer of 1,300 is empty and left out.
"""

import re
from collections.abc import Iterator
from functools import cache, partial
from html import unescape

import yaml

from spectrum_trl.suite.reading.tables import csv_rows
from spectrum_trl.suite.sequences.builders import Data, Row, as_json, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github

FOLDER = "generativesocialchoice/data"
SURVEYS = {"abortion": "abortion", "chatbot_personalization": "the personalization of chatbots"}
FILES = {survey: f"{FOLDER}/{survey}_survey.csv" for survey in SURVEYS}
SOURCE = Source(
    name="generativesocialchoice",
    title="generative-social-choice/survey_data",
    licence="unstated",
    citation="Fish et al., Generative Social Choice, 2023, arXiv 2309.01291",
    downloads=github(
        "generative-social-choice/survey_data",
        "3129df3d0f83a598bd5c59c25419b463078d763f",
        {path: path.removeprefix("generativesocialchoice/") for path in FILES.values()},
    ),
    size=5_002_010,
)
RATING, OPEN = "multiple choice + text", "text"
COLUMNS = ("user_id", "question_type", "question_text", "json_choices", "choice", "text")

DESCRIPTIONS = (
    "One survey participant rates how well statements about {topic} capture their own opinion, and says why. "
    "Possible choices, from worst to best: {scale}.",
    "A person's views on {topic}: each input is a question about a statement, with the choices; each output "
    "is how well the statement expresses what this person thinks ({scale}), and the reason in own words.",
    "Ratings given by a single respondent in a survey on {topic}, as JSON of choice and reason. To what "
    "degree does each statement represent the respondent's position? Scale: {scale}.",
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
    return tuple(yaml.safe_load(choices) or ())


def _asked(data: Data, *, kind: str) -> Iterator[Row]:
    """Yield the answers to the surveys' questions of a kind, with the question in plain text."""
    for survey, topic in SURVEYS.items():
        for row in csv_rows(data.folder / FILES[survey], COLUMNS):
            if row["question_type"] != kind:
                data.dropped[f"not a question of type {kind}"] += 1
                continue
            scale = _scale(row["json_choices"])
            yield {
                **row,
                "survey": survey,
                "topic": topic,
                "question": unescape(re.sub(r"<[^>]+>", "", row["question_text"])).strip(),
                "choices": list(scale),
                "scale": ", ".join(scale),
            }


task = partial(declared_task, source=SOURCE, kind="individual", files=tuple(FILES.values()))
TASKS = [
    task(
        "generativesocialchoice_validation",
        summary="one person's ratings, with reasons, of how well statements express their view",
        rows=lambda data: data.keep(
            _asked(data, kind=RATING),
            lambda row: text(row["choice"]) in row["choices"],
            reason="not on the scale",
        ),
        group_by=("survey", "user_id"),
        input=("question", "choices"),
        output=lambda row: as_json({"choice": row["choice"], "reason": row["text"]}),
        descriptions=DESCRIPTIONS,
    ),
    task(
        "generativesocialchoice_freetext",
        summary="one person's answers to the open questions of a survey",
        rows=partial(_asked, kind=OPEN),
        group_by=("survey", "user_id"),
        input="question",
        output="text",
        descriptions=FREETEXT_DESCRIPTIONS,
    ),
]
