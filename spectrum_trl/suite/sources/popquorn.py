"""POPQUORN: how a representative sample of people rates, rewrites and answers the same texts, in four parts.

A part whose file is missing is left out and counted; the other parts are built. The question answering file
does not identify annotators: those with the same gender, race, age, occupation and education share one
sequence, and the descriptions say so. In e-mail rewriting, 80 rows have no annotator and are left out of
`popquorn_individual`. Unknown traits are left out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.sequences.builders import (
    Field,
    Row,
    Sequences,
    as_json,
    grouped,
    text,
)
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github
from spectrum_trl.suite.task import Data, Task

FOLDER = "Potato-Prolific-Dataset/dataset"
FILES = f"{FOLDER}/*/raw_data.csv"
SOURCE = Source(
    name="popquorn",
    title="POPQUORN (Jiaxin-Pei/Potato-Prolific-Dataset)",
    licence="unstated",
    citation="Pei and Jurgens, When Do Annotator Demographics Matter? Measuring the Influence of Annotator "
    "Demographics with the POPQUORN Dataset, 2023, LAW, arXiv 2306.06826",
    downloads=github(
        "Jiaxin-Pei/Potato-Prolific-Dataset",
        "dbb118c29b3d9bcce5aa172d8249ded9ece4df84",
        {
            f"{FOLDER}/{part}/raw_data.csv": f"dataset/{part}/raw_data.csv"
            for part in ("email_rewriting", "offensiveness", "politeness_rating", "question_answering")
        },
    ),
    unchecked="The parts politeness_rating and question_answering: their columns come from a description.",
)
TRAITS = ("gender", "race", "age", "occupation", "education")
FEWEST, MOST_PEOPLE, DRAWS = 6, 100, 20
SCALE = ("1", "2", "3", "4", "5")

TEXT_DESCRIPTIONS = (
    "Texts drawn at random from a collection of {topic}.",
    "Each output is one of many {topic}.",
    "Samples of {topic}, in no particular order.",
)


def _whole(value: str) -> str:
    """Return a rating as a whole number, or an empty string if it is not on the scale."""
    rating = text(value).removesuffix(".0")
    return rating if rating in SCALE else ""


def _answered(row: Row) -> str:
    difficulty = _whole(row["difficulty"])
    if not difficulty or not text(row["answer"]):
        return ""
    return as_json(
        {"groundtruth": row["groundtruth"], "answer": row["answer"], "difficulty": int(difficulty)}
    )


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the four parts.

    Attributes:
        topic: Name of its texts, in the plural.
        columns: Columns to read besides annotator and traits; the first holds the text.
        input: What the annotator saw.
        output: What the annotator gave.
        descriptions: Templates; ``{who}`` stands for the annotator's traits.
        named: Whether the file identifies annotators; if not, they are identified by their traits.
    """

    topic: str
    columns: tuple[str, ...]
    input: Field
    output: Field
    descriptions: tuple[str, ...]
    named: bool = True


PARTS = {
    "email_rewriting": Part(
        topic="e-mails that could be more polite",
        columns=("original email", "revised email"),
        input="original email",
        output="revised email",
        descriptions=(
            "A colleague's e-mail is to become more polite and more professional. Each output is a rewritten "
            "version of the message in the input.",
            "One person rewrites e-mails so that they sound more polite and fit for work.",
            "E-mails and how a single person{who} would put them more politely and professionally.",
        ),
    ),
    "offensiveness": Part(
        topic="comments from online discussions, some of them offensive",
        columns=("text", "offensiveness"),
        input="text",
        output=lambda row: _whole(row["offensiveness"]),
        descriptions=(
            "One person rates how offensive comments are, from 1 to 5.",
            "How offensive does this reader{who} find each comment? 1 means not offensive at all, 5 very "
            "offensive.",
        ),
    ),
    "politeness_rating": Part(
        topic="messages of different politeness",
        columns=("text", "politeness"),
        input="text",
        output=lambda row: _whole(row["politeness"]),
        descriptions=(
            "One person rates how polite messages are, from 1 (not polite at all) to 5 (very polite).",
            "Politeness of messages as seen by a single reader{who}, on a scale from 1 (not at all polite) "
            "to 5 (very polite).",
        ),
    ),
    "question_answering": Part(
        topic="passages that questions can be asked about",
        columns=("text", "question", "groundtruth", "answer", "difficulty"),
        input={"passage": "text", "question": "question"},
        output=_answered,
        descriptions=(
            "People look for the answer to a question in a passage and copy it, or say that there is none. "
            "Output: the correct answer (groundtruth), what the reader answered, and how difficult the "
            "reader found the question, from 1 to 5. The readers are alike in gender, race, age, occupation "
            "and education.",
            "Reading comprehension by people of the same background{who}: the true answer, the answer given "
            "and the difficulty felt, from 1 (easy) to 5 (hard). Answers are copied from the passage, unless "
            "it holds none.",
        ),
        named=False,
    ),
}


def _parts(data: Data) -> Iterator[tuple[str, Part, str]]:
    """Yield name, facts and file of the parts whose file exists."""
    for name, part in PARTS.items():
        file = FILES.replace("*", name)
        if (data.folder / file).exists():
            yield name, part, file
        else:
            data.dropped[f"no file of {name}"] += 1


def _annotations(data: Data, file: str, part: Part) -> Iterator[Row]:
    """Yield the rows of a part, with the annotator and the annotator's traits in words."""
    for row in data.table(file, ("user_id", *TRAITS, *part.columns)):
        who = ", ".join(f"{trait}: {text(row[trait])}" for trait in TRAITS if text(row[trait]))
        yield {**row, "person": row["user_id"] if part.named else who, "who": f" ({who})" if who else ""}


def _frequent(rows: Sequence[Row], data: Data) -> Iterator[Row]:
    """Yield the rows of annotators with enough rows, and those without an annotator."""
    numbers = Counter(row["person"] for row in rows)
    return data.keep(
        rows,
        lambda row: numbers[row["person"]] >= FEWEST or not text(row["person"]),
        reason=f"annotator of fewer than {FEWEST} texts",
    )


def _shuffled(rows: list[Row], *, seed: int) -> list[Row]:
    """Return the rows with their annotators in random order."""
    people = list(dict.fromkeys(row["person"] for row in rows))
    order = stream(seed, task="popquorn", purpose="annotators").permutation(len(people))
    place = dict(zip(people, order, strict=True))
    return sorted(rows, key=lambda row: place[row["person"]])


def individuals(data: Data, *, most: int | None = None) -> Sequences:
    """Build one sequence per annotator and part; with ``most``, for that many per part, drawn at random."""
    for name, part, file in _parts(data):
        rows = list(_frequent(list(_annotations(data, file, part)), data))
        found = grouped(
            _shuffled(rows, seed=data.seed) if most else rows,
            data,
            constants={"part": name},
            group_by=("part", "person"),
            input=part.input,
            output=part.output,
            descriptions=part.descriptions,
        )
        yield from islice(found, most)


def _texts(data: Data) -> Iterator[Row]:
    """Yield every text of each part once."""
    for name, part, file in _parts(data):
        column = part.columns[0]
        rows = data.table(file, (column,))
        named = ({"part": name, "topic": part.topic, "text": row[column]} for row in rows)
        yield from data.different(named, "text")


TASKS = [
    Task(
        name="popquorn_individual",
        source=SOURCE,
        files=(FILES,),
        summary="one person's ratings, rewritten e-mails or answers",
        kind="annotation",
        build=individuals,
        paper=partial(individuals, most=MOST_PEOPLE),
    ),
    declared_task(
        "popquorn_og_categorical",
        source=SOURCE,
        kind="generation",
        summary="texts to be rated, rewritten or asked about",
        files=(FILES,),
        paper={"draws": DRAWS},
        rows=_texts,
        group_by=("part",),
        output="text",
        descriptions=TEXT_DESCRIPTIONS,
        mean_length=128,
    ),
]
