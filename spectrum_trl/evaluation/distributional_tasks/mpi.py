"""Machine Personality Inventory: how much people agree with 120 statements about themselves.

One item for each statement, over all respondents. Answers other than integers from 0 to 5 are left out and
counted (published: they count in the total), and so are statements without answers (published: uniform). Not
verified, since the answers were not available: the inventory (IPIP-NEO-120) is answered from 1 to 5, and its
public files write 0 for a missing answer, so if 0 is common in a file, it may have to be removed first.
Whether statements keyed -1 are already reversed is unknown; the key is not used here.

Source: Jiang et al., arXiv 2206.07550; statements by Johnson (2014).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import DistributionalTask, Item, numbered, shares
from spectrum_trl.suite.reading.files import Reading
from spectrum_trl.suite.reading.tables import csv_rows, table_rows
from spectrum_trl.suite.source import Source

ANSWERS = "mpi/mpi_human_resp.csv"
QUESTIONS = "mpi/AI_Pluralistic_Alignment/data/mpi_questions.csv"
COLUMNS = tuple(f"I{number}" for number in range(1, 121))
TRAITS = {
    "O": "Openness",
    "C": "Conscientiousness",
    "E": "Extraversion",
    "A": "Agreeableness",
    "N": "Neuroticism",
}
LABELS = ("Strongly disagree", "Disagree", "Slightly disagree", "Slightly agree", "Agree", "Strongly agree")
CANDIDATES = tuple(str(number) for number in range(len(LABELS)))
MISSING = ("", "NA", "NaN", "nan")
DESCRIPTION = (
    "Answers to a personality questionnaire, by one respondent picked at random for each answer: how "
    "accurately a statement describes them, from 0 (strongly disagree) to 5 (strongly agree)."
)


def statements(path: Path) -> list[tuple[str, str]]:
    """Return the text of each statement, and the letter of its trait.

    Args:
        path: Tab-separated table with the columns ``text`` and ``label_ocean``.

    Raises:
        MissingData: If the file does not exist.
        UserError: If it is not such a table of 120 statements.
    """
    reading = Reading(delimiter="\t")
    rows = list(table_rows(path, ("text", "label_ocean"), dropped=Counter(), reading=reading))
    if len(rows) != len(COLUMNS):
        raise UserError(f"{path} has {len(rows)} statements, expected {len(COLUMNS)}: fetch it again")
    return [(row["text"].strip(), row["label_ocean"].strip()) for row in rows]


def items(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Iterator[Item]:
    """Yield the items, in the order of the inventory."""
    found = statements(data_dir / QUESTIONS)
    # Hundreds of thousands of respondents are counted while they are read.
    answers: dict[str, Counter[str]] = {column: Counter() for column in COLUMNS}
    for row in csv_rows(data_dir / ANSWERS, COLUMNS):
        for column, answer in row.items():
            # Answers may be written as floats if others in their column are missing.
            answers[column][answer.strip().removesuffix(".0")] += 1
    for column, (text, trait) in zip(COLUMNS, found, strict=True):
        values = answers[column]
        counts = [values[value] for value in CANDIDATES]
        missing = sum(values[value] for value in MISSING)
        dropped["missing answer"] += missing
        dropped["answer that is not 0 to 5"] += values.total() - missing - sum(counts)
        if not sum(counts):
            dropped["statement without answers"] += 1
            continue
        yield Item(
            description=DESCRIPTION,
            input=f"{statement(text)}\n{numbered(LABELS, first=0)}",
            candidates=CANDIDATES,
            target=shares(counts),
            group=TRAITS.get(trait, trait),
            cluster=column,
            n_answers=sum(counts),
        )


def statement(text: str) -> str:
    """Put a statement in the second person: ``Worry about things`` becomes ``You worry about things.``."""
    return f"You {text[:1].lower()}{text[1:].rstrip('.')}."


TASKS = (
    DistributionalTask(
        name="mpi",
        ordered=True,
        summary="agreement with statements about oneself",
        source=Source(
            name="mpi",
            title="Machine Personality Inventory (jfisher52/AI_Pluralistic_Alignment)",
            homepage="https://github.com/jfisher52/AI_Pluralistic_Alignment for the statements, "
            "https://drive.google.com/file/d/1MOE4y_nGJiYU_vxCqnWSiYIKCk-dqPJE for the answers",
        ),
        files=(ANSWERS, QUESTIONS),
        build=items,
    ),
)
