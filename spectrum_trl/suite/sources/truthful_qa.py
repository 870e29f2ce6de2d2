"""TruthfulQA as multiple choice: questions that many answer wrongly, with four answers, one of them true."""

from spectrum_trl.suite.sequences.multiple_choice import Item, choice_task, letter
from spectrum_trl.suite.source import Source, hub

PATH = "hub/truthful_qa_mc"
FILES = f"{PATH}/**/*.parquet"
SOURCE = Source(
    name="truthful_qa",
    title="TruthfulQA, multiple choice (EleutherAI/truthful_qa_mc)",
    licence="Apache-2.0",
    citation="Lin et al., TruthfulQA: Measuring How Models Mimic Human Falsehoods, ACL 2022, 2109.07958",
    downloads=hub("EleutherAI/truthful_qa_mc", "refs/convert/parquet", PATH, "*/validation/*.parquet"),
    unchecked="The dataset's files are a script and JSON; the path CONFIG/validation/0000.parquet of the "
    "Hub's parquet copy, and its columns question, choices (a list) and label (a number from 0), are taken "
    "from code by others.",
)

DESCRIPTIONS = (
    "Questions about which misconceptions are common, each with four answers, A to D, of which one is true. "
    "Output: its letter.",
    "For each question, the letter (A, B, C or D) of the only answer that is true, however popular the "
    "others may be.",
    "Which answer is right? Input: a question and four lettered answers. Output: A, B, C or D.",
)


TASKS = [
    choice_task(
        "truthful_qa",
        source=SOURCE,
        summary="true answers to questions that are often answered wrongly",
        file=FILES,
        columns=("question", "choices", "label"),
        item=lambda row: Item(row["question"], row["choices"] or (), letter(row["label"])),
        descriptions=DESCRIPTIONS,
        length=10,
    )
]
