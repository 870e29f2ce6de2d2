"""OpinionQA: US adults' answers to 15 surveys of the American Trends Panel (Pew Research).

A row of a wave's responses is one person, with a column per question. Questions that a person was not asked
or skipped (most of them, as the waves have several forms) and answers that are not among the options are left
out and counted. Refused is one of the options. A person's name is their row in the wave.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np

from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.reading.tables import csv_rows
from spectrum_trl.suite.sequences.builders import Row, Sequences, grouped, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Data, Task

WAVES = (26, 27, 29, 32, 34, 36, 41, 42, 43, 45, 49, 50, 54, 82, 92)
FOLDER = "opinionqa/human_resp/American_Trends_Panel_W{wave}"
INFO = tuple(FOLDER.format(wave=wave) + "/info.csv" for wave in WAVES)
RESPONSES = tuple(FOLDER.format(wave=wave) + "/responses.csv" for wave in WAVES)
SOURCE = Source(
    name="opinionqa",
    title="OpinionQA (Pew American Trends Panel)",
    homepage="https://github.com/tatsu-lab/opinions_qa",
    licence="Pew Research Center's terms of use",
    citation="Santurkar et al., Whose Opinions Do Language Models Reflect?, ICML 2023, arXiv 2303.17548",
    terms="The answers are those of individuals, under the Pew Research Center's terms of use: you may not "
    "try to identify them, and the Center is not responsible for what is made of its data.",
    steps=(
        "Open https://worksheets.codalab.org/worksheets/0x6fb693719477478aac73fc07db333f69, the worksheet of "
        "OpinionQA.",
        "Download the bundle human_resp (human_resp.tar.gz, 0x050b7e72abb04d1f9b493c1743e580cf).",
        "Unpack it into the folder opinionqa of the data folder, which then contains "
        "opinionqa/human_resp/American_Trends_Panel_W26/info.csv, with responses.csv beside it.",
    ),
    unchecked="Questions were checked on published info.csv files. No responses were at hand: that a wave's "
    "responses.csv holds the options' texts below the questions' keys, and people's traits under the twelve "
    "names, follows the authors' own program.",
)
# Trait in words, by its name in the file.
TRAITS = {
    "CREGION": "region",
    "AGE": "age",
    "SEX": "sex",
    "EDUCATION": "education",
    "CITIZEN": "US citizen",
    "MARITAL": "marital status",
    "RELIG": "religion",
    "RELIGATTEND": "religious attendance",
    "POLPARTY": "party",
    "INCOME": "family income",
    "POLIDEOLOGY": "political views",
    "RACE": "race",
}
UNKNOWN = ("", "nan", "na", "dk/ref", "refused", "don't know", "don't know/refused", "no answer")
# Probability that a trait is left out of a description.
LEFT_OUT = 0.3
PAPER_RESPONDENTS = 200

INDIVIDUAL_DESCRIPTIONS = (
    "One adult in the United States takes a survey of opinions. Input: a question with its options. Output: "
    "the letter of the option that this person chose.",
    "Multiple-choice answers by a single respondent of a Pew survey, given as letters.",
)
TRAITS_DESCRIPTIONS = (
    "Survey answers, as letters of options, by one US adult of whom this is known: {traits}.",
    "A respondent ({traits}) is asked for opinions, with options to choose from. Each output is the letter "
    "of the chosen option.",
)
QUESTION_DESCRIPTIONS = (
    "Questions of a survey of US adults, each with its options on lines of their own.",
    "Multiple-choice questions on people's opinions and lives, all from the same survey.",
)


class Question(NamedTuple):
    """A question as shown, and the letter of each option."""

    key: str
    shown: str
    letters: dict[str, str]


def questions(path: Path, *, dropped: Counter[str]) -> list[Question]:
    """Return the questions of a wave that have a text and up to 26 options.

    Args:
        path: A wave's info.csv, whose references are the text of a Python list.
        dropped: Receives the number of the others.
    """
    found = []
    for row in csv_rows(path, ("key", "question", "references")):
        key, question, options = text(row["key"]), text(row["question"]), _listed(row["references"])
        if not (key and question and options) or len(options) > len(ascii_uppercase):
            dropped["question without key, text or up to 26 options"] += 1
            continue
        letters = dict(zip(options, ascii_uppercase, strict=False))
        lines = (f"{letter}. {option}" for option, letter in letters.items())
        found.append(Question(key, "\n".join((question, *lines)), letters))
    return found


def _listed(cell: str) -> list[str]:
    """Return the distinct items of a list given as text; nothing if the text is not a list."""
    try:
        items = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return []
    return list(dict.fromkeys(filter(None, map(text, items)))) if isinstance(items, list) else []


def _asked(data: Data) -> Iterator[Row]:
    """Yield the questions of each wave."""
    for wave, path in zip(WAVES, INFO, strict=True):
        for question in questions(data.folder / path, dropped=data.dropped):
            yield {"wave": str(wave), "question": question.shown}


def _answers(person: Row, asked: list[Question], data: Data) -> Iterator[Row]:
    """Yield a person's answers to the questions that they answered."""
    for question in asked:
        if not (answer := text(person[question.key])) or answer.lower() == "nan":
            data.dropped["question not asked or not answered"] += 1
        elif answer not in question.letters:
            data.dropped["answer that is none of the options"] += 1
        else:
            yield {"question": question.shown, "letter": question.letters[answer]}


def _known(person: Row, rng: np.random.Generator) -> str:
    """Return some of a person's traits, in words."""
    known = {words: text(person[column]) for column, words in TRAITS.items()}
    kept = rng.random(len(known)) >= LEFT_OUT
    return ", ".join(
        f"{words}: {trait}"
        for (words, trait), keep in zip(known.items(), kept, strict=True)
        if keep and trait.lower().replace("’", "'") not in UNKNOWN
    )


def _drawn(data: Data, responses: str, most: int, *, wave: int) -> set[int]:
    """Return the rows of ``most`` people of a wave."""
    # Malformed rows are counted when read.
    n_people = sum(1 for _ in replace(data, dropped=Counter()).table(responses, ("AGE",)))
    rng = stream(data.seed, task="opinionqa", purpose="respondents", id=wave)
    return set(rng.permutation(n_people)[:most].tolist())


def individual(data: Data, *, most: int | None = None) -> Sequences:
    """Build one sequence per respondent, or for ``most`` drawn from each wave."""
    for wave, info, responses in zip(WAVES, INFO, RESPONSES, strict=True):
        asked = questions(data.folder / info, dropped=data.dropped)
        drawn = None if most is None else _drawn(data, responses, most, wave=wave)
        columns = tuple(dict.fromkeys((*(question.key for question in asked), *TRAITS)))
        for row, person in enumerate(data.table(responses, columns)):
            if drawn is not None and row not in drawn:
                data.dropped["respondent who was not drawn"] += 1
                continue
            name = f"W{wave}/{row}"
            traits = _known(person, np.random.default_rng([data.seed, *name.encode()]))
            yield from grouped(
                _answers(person, asked, data),
                data,
                group_by="person",
                constants={"person": name, "traits": traits},
                input="question",
                output="letter",
                descriptions=INDIVIDUAL_DESCRIPTIONS + (TRAITS_DESCRIPTIONS if traits else ()),
            )


TASKS = [
    Task(
        name="opinionqa_individual",
        summary="one US adult's answers to the questions of a survey",
        source=SOURCE,
        kind="individual",
        files=(*INFO, *RESPONSES),
        build=individual,
        paper=partial(individual, most=PAPER_RESPONDENTS),
    ),
    declared_task(
        "opinionqa_questions",
        source=SOURCE,
        kind="generation",
        summary="questions of a survey, with their options",
        files=INFO,
        rows=_asked,
        group_by=("wave",),
        output="question",
        descriptions=QUESTION_DESCRIPTIONS,
    ),
]
