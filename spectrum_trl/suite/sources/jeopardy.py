"""Clues of the quiz show Jeopardy! (J! Archive). A clue that needs its picture, sound or film is left out."""

import re
from collections import Counter
from functools import partial
from pathlib import Path

from spectrum_trl.suite.builders import Built, keep_rows, pooled
from spectrum_trl.suite.lengths import sequence_length
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

FILE = "misc/JEOPARDY_CSV.csv"
NEEDS_MEDIA = re.compile(r"<a\b|\[(?:audio|video) clue\]|\b(?:seen|heard|shown) here\b", re.IGNORECASE)

ANSWER_DESCRIPTIONS = (
    "Clues from the quiz show Jeopardy! and the responses that counted as correct, drawn from all rounds.",
    "Each input is a Jeopardy! clue with its category, each output the expected response, without “What is”.",
    "Trivia as on Jeopardy!: given category and clue, the correct response.",
)


def answers(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of clues and responses from all shows mixed, about 24 each."""
    clues = keep_rows(
        csv_rows(data_dir / FILE, ("Category", "Question", "Answer")),
        lambda row: not NEEDS_MEDIA.search(row["Question"]),
        reason="needs a picture, sound or film",
        dropped=dropped,
    )
    yield from pooled(
        clues,
        input={"category": "Category", "clue": "Question"},
        output="Answer",
        descriptions=ANSWER_DESCRIPTIONS,
        length=partial(sequence_length, mean=24),
        seed=seed,
        dropped=dropped,
    )


TASKS = [
    Task(
        name="jeopardy_answer_prediction",
        summary="answers to clues of the quiz show",
        source="J! Archive",
        kind="generation",
        split="train",
        files=(FILE,),
        build=answers,
    )
]
