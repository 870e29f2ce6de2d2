"""Clues from the first two rounds of the quiz show Jeopardy! (J! Archive).

Clues that need their picture, sound or film are left out. Cells and column names are stripped of white space.
"""

import re
from collections.abc import Iterator
from functools import partial

from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source

FILE = "misc/JEOPARDY_CSV.csv"
SOURCE = Source(
    name="jeopardy",
    title="J! Archive, 216,930 clues as a CSV file",
    homepage="https://j-archive.com",
    licence="unstated",
    citation="J! Archive, clues of Jeopardy! collected by fans; as a file on Reddit, r/datasets, 2014",
    steps=(
        "Download JEOPARDY_CSV.csv from where it was published: "
        "https://www.reddit.com/r/datasets/comments/1uyd0t/200000_jeopardy_questions_in_a_json_file",
        f"Put it into the data folder as {FILE}. The columns Round, Category, Question and Answer are read; "
        "spaces before their names do no harm.",
    ),
    unchecked="All but the first 100 shows, which were checked in a copy with the same columns.",
)
MOST = 1000
SHOWN = ("Category", "Question", "Answer")
ROUNDS = ("Jeopardy!", "Double Jeopardy!")
NEEDS_MEDIA = re.compile(r"<a\b|href|\[(?:audio|video) clue\]|\b(?:seen|heard|shown) here\b", re.IGNORECASE)

ANSWER_DESCRIPTIONS = (
    "Clues from the quiz show Jeopardy! and the responses that counted as correct, mixed from many shows.",
    "Each input is a Jeopardy! clue, each output the expected response, without “What is”.",
    "Trivia as on Jeopardy!: given a clue, the person, place, thing or idea that it points to.",
)
QUESTION_DESCRIPTIONS = (
    "Clues from the quiz show Jeopardy!: statements that hint at a person, a place, a thing or an idea, "
    "which players have to name.",
    "Each output is a quiz clue. It is no question, it states facts about something without saying what it "
    "is.",
    "Short statements of trivia, written so that a well-informed player can tell whom or what they are "
    "about.",
)


def _clues(data: Data) -> Iterator[Row]:
    rows: Iterator[Row] = data.table(FILE, ("Round", *SHOWN))
    for reason, condition in (
        ("of another round", lambda row: text(row["Round"]) in ROUNDS),
        ("without clue, answer or category", lambda row: all(text(row[column]) for column in SHOWN)),
        ("needs a picture, sound or film", lambda row: not NEEDS_MEDIA.search(row["Question"])),
    ):
        rows = data.keep(rows, condition, reason=reason)
    return rows


task = partial(
    declared_task,
    source=SOURCE,
    files=(FILE,),
    rows=_clues,
    mean_length=64,
    paper={"most": MOST},
)
TASKS = [
    task(
        "jeopardy_question_generation",
        kind="generation",
        summary="clues of the quiz show",
        name="questions",
        output="Question",
        descriptions=QUESTION_DESCRIPTIONS,
    ),
    task(
        "jeopardy_answer_prediction",
        kind="knowledge",
        summary="answers to clues of the quiz show",
        name="answers",
        input="Question",
        output="Answer",
        descriptions=ANSWER_DESCRIPTIONS,
    ),
]
