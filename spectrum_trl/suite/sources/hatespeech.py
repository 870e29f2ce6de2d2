"""Toxicity of 107,620 social media comments, rated by 17,280 people who describe themselves.

A line of the file is a comment with its ratings. All fields of a rating but its answers identify the rater:
a hash of the worker, and the worker's self-description (a worker with different ones counts as several
raters). Ratings without any such field, and scores other than 0 to 4, are left out and counted.
"""

import hashlib
import json
from collections.abc import Iterator

from spectrum_trl.suite.reading.tables import jsonl_rows
from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source

FILE = "hatespeech/classified_data_final_w_worker_hash.json"
SOURCE = Source(
    name="hatespeech",
    title="Toxicity perspectives (Kumar et al.)",
    homepage="https://data.esrg.stanford.edu/study/toxicity-perspectives",
    licence="unstated",
    citation="Kumar et al., Designing Toxic Content Classification for a Diversity of Perspectives, SOUPS "
    "2021",
    terms="The comments are offensive, many of them hateful. Raters' self-descriptions may not be used to "
    "identify them.",
    steps=(
        "Open https://data.esrg.stanford.edu/study/toxicity-perspectives; the authors give the password.",
        "Ask them for the version with worker hashes, classified_data_final_w_worker_hash.json: the public "
        "one does not distinguish raters.",
        "Put it into the folder hatespeech of the data folder, under this name.",
    ),
    ask="Deepak Kumar, first author of the paper",
    unchecked="No real file was at hand. Names of the file and of all its fields follow the research code.",
)
# Keys of a rating about the comment; all others are about the rater.
ANSWERS = (
    "toxic_score",
    "is_profane",
    "is_threat",
    "is_identity_attack",
    "is_insult",
    "is_sexual_harassment",
    "fine_to_see_online",
    "remove_from_online",
)
SCORES = ("0", "1", "2", "3", "4")
PAPER_RATERS = 1000

DESCRIPTIONS = (
    "One person reads comments from social media and rates how toxic each one is, from 0 (not toxic) to 4 "
    "(very toxic).",
    "Toxicity in the eyes of a single reader: the input is a comment, the output this reader's score, where "
    "0 is the least and 4 the most toxic.",
    "How toxic is this comment to one and the same rater? Scale: 0, 1, 2, 3 or 4; higher is more toxic.",
)


def rater(rating: Row) -> str:
    """Return a name for the rater, made from all fields about them; empty if there are none."""
    known = {key: value for key, value in rating.items() if key not in ANSWERS}
    if not any(text(value) for value in known.values()):
        return ""
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def _ratings(data: Data) -> Iterator[Row]:
    for row in jsonl_rows(data.folder / FILE, ("comment", "ratings"), dropped=data.dropped):
        comment = text(row["comment"])
        if not isinstance(row["ratings"], list):
            data.dropped["line without ratings"] += 1
            continue
        for rating in row["ratings"]:
            score = text(rating.get("toxic_score") if isinstance(rating, dict) else "").removesuffix(".0")
            if score not in SCORES:
                data.dropped["score that is not a whole number from 0 to 4"] += 1
            elif not (name := rater(rating)):
                data.dropped["rating without anything about its rater"] += 1
            else:
                yield {"rater": name, "comment": comment, "score": score}


TASKS = [
    declared_task(
        "hatespeech_individual",
        source=SOURCE,
        kind="annotation",
        summary="one reader's ratings of how toxic comments are",
        files=(FILE,),
        paper={"draws": 1, "most": PAPER_RATERS},
        rows=_ratings,
        group_by=("rater",),
        input="comment",
        output="score",
        descriptions=DESCRIPTIONS,
        mean_length=128,
    ),
]
