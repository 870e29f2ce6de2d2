"""Rotten Tomatoes: the share of positive reviews of a film, by critics and by the audience.

Two items for each film, in one cluster. A score is the percentage of positive reviews, not a mean rating; it
may be written ``74``, ``74%`` or ``74.0`` (published: a file of floats loses every row). Scores that are
missing or outside 0 to 100 are left out and counted. The number of reviews is unknown, so all films have the
same weight.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item
from spectrum_trl.suite.reading.tables import csv_rows
from spectrum_trl.suite.source import Source

FILE = "rotten_tomatoes/rotten_tomatoes_data_1970_2024/movie_info.csv"
CANDIDATES = ("Good", "Bad")
DESCRIPTIONS = {
    "critic": "Verdicts on films by professional critics, one critic picked at random for each: Good or Bad.",
    "audience": "Verdicts on films by people who saw them, one picked at random for each: Good or Bad.",
}


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the items, film by film."""
    columns = ("title", "release_date", *(f"{who}_score" for who in DESCRIPTIONS))
    for row in csv_rows(data_dir / FILE, columns):
        title, released = row["title"].strip(), row["release_date"].strip()
        if not title:
            dropped["film without title"] += 1
            continue
        film = f"Film: {title}" + (f"\nReleased: {released}" if released else "")
        for who, description in DESCRIPTIONS.items():
            score = _score(row[f"{who}_score"])
            if score is None:
                dropped[f"no {who} score from 0 to 100"] += 1
                continue
            yield Item(
                description=description,
                input=film,
                candidates=CANDIDATES,
                target=(score / 100, 1 - score / 100),
                group=who,
                cluster=film,
            )


def _score(text: str) -> float | None:
    try:
        score = float(text.strip().removesuffix("%"))
    except ValueError:
        return None
    return score if math.isfinite(score) and 0 <= score <= 100 else None


TASKS = (
    DistributionalTask(
        name="rotten_tomatoes",
        summary="good and bad reviews of films",
        source=Source(
            name="rotten_tomatoes",
            title="Rotten Tomatoes scores of films, 1970 to 2024",
            homepage="https://drive.google.com/file/d/12IpMErb4j83h5gGTdTpv0WZOf5ceY7b3, or any table with "
            "the columns title, release_date, critic_score and audience_score",
        ),
        files=(FILE,),
        build=items,
    ),
)
