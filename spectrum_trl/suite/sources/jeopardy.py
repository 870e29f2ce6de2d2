"""Clues of the quiz show Jeopardy! (J! Archive). A clue that needs its picture, sound or film is left out.

- The research code looks for links alone; clues "seen here" without one are left out too: of the 5,890 clues
  of the first 100 shows' two rounds 301 instead of 248.
- It keeps at most 1,000 sequences of each task. Here all clues are used, which matters with the full file
  only.
- `jeopardy_answer_prediction` shows the category with the clue, takes clues of all rounds (100 of 5,990 are
  of another one) and makes sequences of about 24; the research code shows the clue alone, takes those of the
  two rounds and makes sequences of about 64.
- An answer such as NA or null is a text here, and no missing value.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from spectrum_trl.suite.builders import Built, Row, keep_rows, pooled, text
from spectrum_trl.suite.lengths import sequence_length
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

SOURCE = Source(name="jeopardy", title="J! Archive", licence="unstated")

FILE = "misc/JEOPARDY_CSV.csv"
ROUNDS = ("Jeopardy!", "Double Jeopardy!")
NEEDS_MEDIA = re.compile(r"<a\b|\[(?:audio|video) clue\]|\b(?:seen|heard|shown) here\b", re.IGNORECASE)

ANSWER_DESCRIPTIONS = (
    "Clues from the quiz show Jeopardy! and the responses that counted as correct, drawn from all rounds.",
    "Each input is a Jeopardy! clue with its category, each output the expected response, without “What is”.",
    "Trivia as on Jeopardy!: given category and clue, the correct response.",
)
QUESTION_DESCRIPTIONS = (
    "Clues from the quiz show Jeopardy!: statements that hint at a person, a place, a thing or an idea, "
    "which players have to name.",
    "Each output is a quiz clue. It is no question, it states facts about something without saying what it "
    "is.",
    "Short statements of trivia, written so that a well-informed player can tell whom or what they are "
    "about.",
)


def _readable(clues: Iterable[Row], *, dropped: Counter[str]) -> Iterator[Row]:
    """Yield the clues that can be understood from their text alone."""
    return keep_rows(
        clues,
        lambda row: not NEEDS_MEDIA.search(row["Question"]),
        reason="needs a picture, sound or film",
        dropped=dropped,
    )


def answers(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of clues and responses from all shows mixed, about 24 each."""
    yield from pooled(
        _readable(csv_rows(data_dir / FILE, ("Category", "Question", "Answer")), dropped=dropped),
        input={"category": "Category", "clue": "Question"},
        output="Answer",
        descriptions=ANSWER_DESCRIPTIONS,
        length=partial(sequence_length, mean=24),
        seed=seed,
        dropped=dropped,
    )


def questions(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of clues of the two rounds of all shows mixed, about 64 each."""
    clues = keep_rows(
        csv_rows(data_dir / FILE, ("Round", "Question")),
        lambda row: text(row["Round"]) in ROUNDS,
        reason="of another round",
        dropped=dropped,
    )
    yield from pooled(
        _readable(clues, dropped=dropped),
        name="questions",
        output="Question",
        descriptions=QUESTION_DESCRIPTIONS,
        length=partial(sequence_length, mean=64),
        seed=seed,
        dropped=dropped,
    )


TASKS = [
    Task(
        name="jeopardy_question_generation",
        summary="clues of the quiz show",
        source=SOURCE,
        kind="generation",
        split="train",
        files=(FILE,),
        build=questions,
    ),
    Task(
        name="jeopardy_answer_prediction",
        summary="answers to clues of the quiz show",
        source=SOURCE,
        kind="knowledge",
        split="train",
        files=(FILE,),
        build=answers,
    ),
]
