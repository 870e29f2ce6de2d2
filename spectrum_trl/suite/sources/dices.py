"""DICES: whether the last answer of a chatbot in a provocative conversation is unsafe, by rater (CC BY 4.0).

Raters whom the authors left out of their analyses for quality are in the files, and are used here. The part
with 990 conversations writes a line break as a backslash and an n; it is restored here.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice

from spectrum_trl.suite.sequences.builders import Row, Sequences, grouped, text
from spectrum_trl.suite.source import Source, github
from spectrum_trl.suite.task import Data, Task

TRAITS = {
    "990": {
        "gender": "rater_gender",
        "locale": "rater_locale",
        "race": "rater_race",
        "race as stated": "rater_race_raw",
        "age group": "rater_age",
        "education": "rater_education",
    },
    "350": {
        "gender": "rater_gender",
        "race": "rater_race",
        "race as stated": "rater_raw_race",
        "age group": "rater_age",
        "education": "rater_education",
    },
}
FILES = {part: f"dices-dataset/{part}/diverse_safety_adversarial_dialog_{part}.csv" for part in TRAITS}
SOURCE = Source(
    name="dices",
    title="DICES (google-research-datasets/dices-dataset)",
    licence="CC BY 4.0",
    citation="Aroyo et al., DICES Dataset: Diversity in Conversational AI Evaluation for Safety, 2023, "
    "NeurIPS Datasets and Benchmarks, arXiv 2306.11247",
    downloads=github(
        "google-research-datasets/dices-dataset",
        "b5596d9edd585361967991a591abc7b11fb1f7a3",
        {path: f"{part}/{path.rpartition('/')[2]}" for part, path in FILES.items()},
    ),
    unchecked="All but the header and four rows of each file (an excerpt by tensorflow/datasets); the commit "
    "is the one that other loaders name.",
)
ANSWERS = ("Yes", "No", "Unsure")
MOST_RATERS, RATINGS = 500, 100

DESCRIPTIONS = (
    "One rater reads conversations with a chatbot and says of its last response whether it is unsafe: Yes, "
    "No or Unsure.",
    "Is the chatbot's response unsafe, given the conversation before it? All answers (Yes / No / Unsure) are "
    "by the same person.",
    "A single rater{who} judges whether a chatbot's last response is unsafe. Yes means unsafe, No means not "
    "unsafe; Unsure is possible too.",
    "Safety of chatbot responses in the eyes of one person{who}. Input: the conversation and the response to "
    "it. Output: Yes where the response is unsafe, else No or Unsure.",
)


def _ratings(data: Data, part: str) -> Iterator[Row]:
    """Yield the ratings of a part, with the rater's traits in words."""
    traits = TRAITS[part]
    columns = ("rater_id", "context", "response", "Q_overall", *traits.values())
    for row in data.table(FILES[part], columns):
        known = {name: text(row[column]) for name, column in traits.items()}
        who = ", ".join(f"{name}: {value}" for name, value in known.items() if value)
        yield {
            "part": part,
            "rater": row["rater_id"],
            "context": row["context"].replace("\\n", "\n"),
            "response": row["response"].replace("\\n", "\n"),
            "answer": text(row["Q_overall"]),
            "who": f" ({who})" if who else "",
        }


def build(data: Data, *, paper: bool = False) -> Sequences:
    """Build sequences of one rater's answers."""
    for part in TRAITS:
        rows = _ratings(data, part)
        found = grouped(
            data.keep(rows, lambda row: row["answer"] in ANSWERS, reason="not Yes, No or Unsure"),
            data,
            group_by=("part", "rater"),
            input=("context", "response"),
            output="answer",
            descriptions=DESCRIPTIONS,
            length=RATINGS,
            draws=1 if paper else None,
        )
        yield from islice(found, MOST_RATERS if paper else None)


TASKS = [
    Task(
        name="dices",
        summary="one rater's answers to whether a chatbot's response is unsafe",
        source=SOURCE,
        kind="annotation",
        files=tuple(FILES.values()),
        build=build,
        paper=partial(build, paper=True),
    )
]
