"""GlobalOpinionQA: answers by country to questions from Pew's surveys and the World Values Survey.

One sequence shows one country's answers to all its questions, in two orders. Labels such as "India (Current
national sample)" are the source's, and options such as "DK/Refused" are kept. Countries with few questions
give short sequences.
"""

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spectrum_trl.errors import UserError
from spectrum_trl.suite.reading.tables import csv_rows
from spectrum_trl.suite.sequences.builders import Data, Row, as_json, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Download, Source

FILE = "hub/llm_global_opinions/global_opinions.csv"
SOURCE = Source(
    name="globaloqa",
    title="GlobalOpinionQA (Anthropic/llm_global_opinions)",
    homepage="https://huggingface.co/datasets/Anthropic/llm_global_opinions",
    licence="CC BY-NC-SA 4.0",
    citation="Durmus et al., Towards Measuring the Representation of Subjective Global Opinions in Language "
    "Models, 2023, arXiv 2306.16388",
    downloads=(
        Download(
            path=FILE,
            url="https://huggingface.co/datasets/Anthropic/llm_global_opinions/resolve/"
            "cb2880488749218abb81802a94c2c62ebfde2f35/data/global_opinions.csv",
        ),
    ),
    unchecked="The file itself; one with the same columns, rebuilt from 1,676 of its answers, was checked.",
)
COLUMNS = ("question", "selections", "options")

DESCRIPTIONS = (
    "People living in one place, which is not named here, were surveyed. Input: a question and its options. "
    "Output: a JSON list that gives for each option the percentage of people who chose it, rounded.",
    "Survey results for {country}. For each question, a JSON list with one object per option: the option and "
    "the percentage of people surveyed who picked it, as a whole number.",
)


class Question(NamedTuple):
    """One question of a survey.

    Attributes:
        text: The question, not empty.
        options: Its possible answers.
        by_country: Shares of the options by country label, as in the file: see `unusable`.
    """

    text: str
    options: list[Any]
    by_country: dict[str, list[Any]]


def questions(path: Path, *, dropped: Counter[str]) -> Iterator[Question]:
    """Yield the questions in the order of the file; one without a text is counted in ``dropped``.

    Raises:
        UserError: If options or selections are not written as a Python list and mapping; names the row.
    """
    for number, row in enumerate(csv_rows(path, COLUMNS), start=1):
        if not (question := row["question"].strip()):
            dropped["question without text"] += 1
            continue
        options = _literal(row["options"], list, path=path, number=number, column="options")
        by_country = _literal(
            _without_factory(row["selections"]), dict, path=path, number=number, column="selections"
        )
        yield Question(question, options, by_country)


def unusable(shares: list[Any], n_options: int) -> str | None:
    """Return why shares are not a distribution over the options, or None if they are one up to scale."""
    if len(shares) != n_options:
        return "not as many shares as options"
    if not all(isinstance(share, int | float) and math.isfinite(share) and share >= 0 for share in shares):
        return "share that is no number from 0 on"
    return None if math.fsum(shares) > 0 else "shares that are all 0"


def _without_factory(cell: str) -> str:
    """Return the mapping in the text of a ``defaultdict(<class 'list'>, {...})``."""
    start, end = cell.find("{"), cell.rfind("}")
    # A missing share is written as the bare word nan, which is not a Python literal.
    return re.sub(r"(?<=[\[ ])nan(?=[,\]])", "None", cell[start : end + 1]) if start >= 0 else cell


def _literal(cell: str, kind: type, *, path: Path, number: int, column: str) -> Any:
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise UserError(
            f"{path}, row {number}, column {column!r}: expected a Python {kind.__name__}, "
            f"found {cell[:60]!r}; fetch the file again"
        )
    return value


def _answers(data: Data) -> Iterator[Row]:
    for question in questions(data.folder / FILE, dropped=data.dropped):
        options = [text(option) for option in question.options]
        for country, shares in question.by_country.items():
            if reason := unusable(shares, len(options)):
                data.dropped[reason] += 1
                continue
            whole = math.fsum(shares)
            yield {
                "country": country,
                "question": as_json({"question": question.text, "options": options}),
                "percents": json.dumps(
                    [
                        {option: round(100 * share / whole)}
                        for option, share in zip(options, shares, strict=True)
                    ],
                    ensure_ascii=False,
                ),
            }


TASKS = [
    declared_task(
        "globaloqa",
        source=SOURCE,
        kind="population",
        split="test",
        summary="shares of a country's answers to survey questions",
        files=(FILE,),
        rows=_answers,
        group_by=("country",),
        input="question",
        output="percents",
        descriptions=DESCRIPTIONS,
        permutations=2,
    )
]
