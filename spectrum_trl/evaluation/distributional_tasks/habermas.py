"""Habermas Machine: how UK residents rate two opposite statements on a policy question.

One item for each question with at least six ratings. Only ratings of statements written by people count, one
for each question and participant: the first usable one (published: the first row, which loses participants
whose first row is unusable). Disagreement with the affirming statement A is presented as agreement with the
negating statement B, as in the published wording of the options. Samples are small, so the targets are noisy.

Source: Tessler et al., Science 386 (2024).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item, numbered, shares
from spectrum_trl.suite.reading.parquet import parquet_rows
from spectrum_trl.suite.sequences.builders import text
from spectrum_trl.suite.sources.habermas import RATINGS, RATINGS_FILE, SOURCE, unwrapped

FILE = RATINGS_FILE
QUESTION = ("question.id", "question.text", "question.affirming_statement", "question.negating_statement")
PARTICIPANT, RATING = "ratings.metadata.participant_id", "ratings.agreement"
COLUMNS = ("metadata.provenance", *QUESTION, RATING, PARTICIPANT, "worker_id")
BY_PEOPLE = "HUMAN_CITIZEN"
LABELS = (
    "Strongly Agree with A",
    "Agree with A",
    "Somewhat Agree with A",
    "Neutral",
    "Somewhat Agree with B",
    "Agree with B",
    "Strongly Agree with B",
)
FEWEST = 6
DESCRIPTION = (
    "Answers by residents of the United Kingdom, one picked at random for each: a question comes with two "
    "statements, A and B, and the answer is the number of the option they choose.\n"
    + numbered(LABELS, first=1)
)


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the items, in the order in which questions first appear."""
    counts: dict[tuple[str, ...], Counter[str]] = {}
    seen: set[tuple[str, str]] = set()
    for row in parquet_rows(data_dir / FILE, COLUMNS):
        question = tuple(text(row[column]) for column in QUESTION)
        rating = unwrapped(row[RATING])
        person = (question[0], text(row[PARTICIPANT]))
        if reason := _unusable(row, question=question, rating=rating):
            dropped[reason] += 1
        elif person in seen:
            dropped["further rating by the same participant"] += 1
        else:
            seen.add(person)
            counts.setdefault(question, Counter())[rating] += 1
    for question, found in counts.items():
        if found.total() < FEWEST:
            dropped[f"question with fewer than {FEWEST} ratings"] += 1
            continue
        name, asked, affirming, negating = question
        yield Item(
            description=DESCRIPTION,
            input=f"{asked}\nA: {affirming}\nB: {negating}",
            candidates=tuple(str(number) for number in range(1, len(LABELS) + 1)),
            target=shares([found[rating] for rating in RATINGS]),
            group=None,
            cluster=name,
            n_answers=found.total(),
        )


def _unusable(row: dict[str, Any], *, question: tuple[str, ...], rating: str) -> str | None:
    if row["metadata.provenance"] != BY_PEOPLE:
        return "statement not written by a person"
    if not all(question):
        return "question without text or statements"
    if not text(row["worker_id"]) or not text(row[PARTICIPANT]):
        return "rating by nobody known"
    return None if rating in RATINGS else f"rating {rating[:40] or 'missing'}"


TASKS = (
    DistributionalTask(
        name="habermas",
        ordered=True,
        summary="ratings of opposite statements by UK residents",
        source=SOURCE,
        files=(FILE,),
        build=items,
    ),
)
