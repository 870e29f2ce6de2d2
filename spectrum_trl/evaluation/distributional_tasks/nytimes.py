"""NYT Book Opinions: how likely survey respondents of four groups are to read a book.

One item for each book and group, with the group's counts as the target; these total 6 to 31, so the targets
are noisy. Party and gender are not crossed: the same people are in two groups, and the four items of a book
form one cluster. Groups without answers are left out and counted (published: uniform).

Source: Meister et al., arXiv 2411.05403.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item, numbered, shares
from spectrum_trl.suite.reading.tables import json_file
from spectrum_trl.suite.source import Source, github

REPO = "nicolemeister/benchmarking-distributional-alignment"
FILE = "benchmarking-distributional-alignment/nytimes/NYTIMES_proportions.json"
LABELS = ("Very unlikely", "Somewhat unlikely", "Somewhat likely", "Very likely")
KEYS = tuple(f"{number}: {label}" for number, label in enumerate(LABELS, start=1))
GROUPS = {"Democrat": "Democrats", "Republican": "Republicans", "Male": "men", "Female": "women"}
DESCRIPTION = (
    "Answers by {people} in the USA to a survey about books, one respondent picked at random for each "
    "answer. An answer is the number of one option."
)
QUESTION = "How likely are you to read this book?\nBook: {book}\nGenre: {genre}\nSummary: {summary}\n"


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the items, book by book."""
    path = data_dir / FILE
    books = json_file(path)
    if not isinstance(books, dict):
        raise UserError(f"{path}: expected a JSON object of books; fetch it again")
    for book, facts in books.items():
        if lacking := [
            key for key in ("genre", "summary") if not isinstance(facts, dict) or key not in facts
        ]:
            raise UserError(f"{path}, {book!r} lacks {', '.join(lacking)}; fetch it again")
        question = QUESTION.format(book=book, genre=facts["genre"], summary=facts["summary"])
        for group, people in GROUPS.items():
            counts = _counts(facts.get(group), path=path, book=book, group=group)
            if not sum(counts):
                dropped["group without answers"] += 1
                continue
            yield Item(
                description=DESCRIPTION.format(people=people),
                input=question + numbered(LABELS, first=1),
                candidates=tuple(str(number) for number in range(1, len(LABELS) + 1)),
                target=shares(counts),
                group=group,
                cluster=book,
                n_answers=sum(counts),
            )


def _counts(found: Any, *, path: Path, book: str, group: str) -> list[int]:
    if found is None:
        return []
    if unknown := [key for key in found if key not in KEYS]:
        raise UserError(
            f"{path}, {book!r}, {group!r} has the option {unknown[0]!r}, expected {', '.join(KEYS)}; "
            "fetch it again"
        )
    return [found.get(key, 0) for key in KEYS]


TASKS = (
    DistributionalTask(
        name="nytimes",
        ordered=True,
        summary="how likely four groups are to read a book",
        source=Source(
            name="nytimes",
            title=f"NYT Book Opinions ({REPO})",
            homepage=f"https://github.com/{REPO}",
            downloads=github(
                REPO, "36869b56b214b5ddce13dc234d62b4cbce3706cd", {FILE: "nytimes/NYTIMES_proportions.json"}
            ),
        ),
        files=(FILE,),
        build=items,
    ),
)
