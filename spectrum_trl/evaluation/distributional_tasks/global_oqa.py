"""GlobalOpinionQA: what many countries answer to questions of two surveys, Pew's and the World Values Survey.

One item for each question and country; the target is the country's shares, divided by their sum (the source
rounds them). Left out and counted, since the target would be wrong: shares that are all 0 or no numbers
(published: kept, and uniform after smoothing), another number of shares than of options (published: not
looked at), and more options than letters. Options such as "DK/Refused" stay, as
answers that people gave. Labels such as "India (Current national sample)" are the source's. Items of one
question share its text: its text is the cluster.

Source: Durmus et al., arXiv 2306.16388.
"""

import ast
import math
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.distributional_tasks.task import DistributionalTask, Item, lettered, shares
from spectrum_trl.suite.tables import csv_rows

FILE = "hub/llm_global_opinions/global_opinions.csv"
COLUMNS = ("question", "selections", "options")
DESCRIPTION = (
    "Answers to a survey question by people who live in the country or area “{country}”, one person picked "
    "at random for each answer. An answer is the letter of one option."
)


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the items, in the order of the file."""
    path = data_dir / FILE
    for number, row in enumerate(csv_rows(path, COLUMNS), start=1):
        question = row["question"].strip()
        if not question:
            dropped["question without text"] += 1
            continue
        options = _literal(row["options"], list, path=path, number=number, column="options")
        by_country = _literal(
            _without_factory(row["selections"]), dict, path=path, number=number, column="selections"
        )
        if len(options) > len(string.ascii_uppercase):
            dropped["more options than letters"] += len(by_country)
            continue
        for country, found in by_country.items():
            if reason := _unusable(found, len(options)):
                dropped[reason] += 1
                continue
            yield Item(
                description=DESCRIPTION.format(country=country),
                input=f"{question}\n{lettered([str(option).strip() for option in options])}",
                candidates=tuple(string.ascii_uppercase[: len(options)]),
                target=shares(found),
                group=country,
                cluster=question,
            )


def _unusable(found: Any, n_options: int) -> str | None:
    if len(found) != n_options:
        return "not as many shares as options"
    if not all(isinstance(share, int | float) and math.isfinite(share) and share >= 0 for share in found):
        return "share that is no number from 0 on"
    return None if math.fsum(found) > 0 else "shares that are all 0"


def _without_factory(text: str) -> str:
    """Return the mapping in the text of a ``defaultdict(<class 'list'>, {...})``."""
    start, end = text.find("{"), text.rfind("}")
    # A missing share is written as the bare word nan, which is no literal.
    return re.sub(r"(?<=[\[ ])nan(?=[,\]])", "None", text[start : end + 1]) if start >= 0 else text


def _literal(text: str, kind: type, *, path: Path, number: int, column: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise UserError(
            f"{path}, row {number}, column {column!r}: expected a Python {kind.__name__}, "
            f"found {text[:60]!r}; fetch the file again"
        )
    return value


TASK = DistributionalTask(
    name="global_oqa",
    summary="answers of countries to survey questions",
    source="GlobalOpinionQA (Anthropic/llm_global_opinions)",
    licence="CC BY-NC-SA 4.0",
    url="https://huggingface.co/datasets/Anthropic/llm_global_opinions, data/global_opinions.csv",
    files=(FILE,),
    build=items,
)
