"""MMLU: multiple-choice exam questions in 57 subjects, the test split; subjects are pooled and not named."""

from spectrum_trl.suite.sequences.multiple_choice import Item, choice_task, letter
from spectrum_trl.suite.source import Source, hub

FILE = "hub/mmlu/all/test-00000-of-00001.parquet"
SOURCE = Source(
    name="mmlu",
    title="MMLU (cais/mmlu)",
    licence="MIT",
    citation="Hendrycks et al., Measuring Massive Multitask Language Understanding, ICLR 2021, 2009.03300",
    downloads=hub("cais/mmlu", "c30699e8356da336a370243923dbaf21066bb9fe", "hub/mmlu", FILE),
    unchecked="The columns question, choices (a list) and answer (a number from 0), taken from code by "
    "others and the dataset card.",
)

DESCRIPTIONS = (
    "Questions from exams in many subjects, at school and university. Each has four choices, A to D, and one "
    "of them is right: the output is its letter.",
    "Multiple choice: for each question, the letter (A, B, C or D) of the correct answer.",
    "Input: a question of general or special knowledge and four lettered answers. Output: A, B, C or D, "
    "whichever is correct.",
)


TASKS = [
    choice_task(
        "mmlu",
        source=SOURCE,
        summary="correct answers to exam questions in 57 subjects",
        file=FILE,
        columns=("question", "choices", "answer"),
        item=lambda row: Item(row["question"], row["choices"] or (), letter(row["answer"])),
        descriptions=DESCRIPTIONS,
        length=20,
        paper={"draws": 1000},
    )
]
