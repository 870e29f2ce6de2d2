"""DROP: questions on passages that require counting, comparing or looking up, the validation split.

The output is the first non-empty one of several valid answers, or of the parts of one.
"""

from spectrum_trl.suite.sequences.builders import Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub

FILE = "hub/drop/data/validation-00000-of-00001.parquet"
SOURCE = Source(
    name="drop",
    title="DROP (ucinlp/drop)",
    licence="CC BY-SA 4.0",
    citation="Dua et al., DROP: A Reading Comprehension Benchmark Requiring Discrete Reasoning Over "
    "Paragraphs, NAACL 2019, 1903.00161",
    downloads=hub("ucinlp/drop", "95cda593fae71b60b5b19f82de3fcf3298c1239c", "hub/drop", FILE),
    unchecked="The columns passage, question and answers_spans (of spans and types), taken from the "
    "dataset card and code by others.",
)

DESCRIPTIONS = (
    "Reading comprehension: the answer to each question is a word or a few copied from the passage, a number "
    "or a date, and some take counting or arithmetic. Output: the answer alone.",
    "Input: a passage and a question about it. Output: a short answer, found in the passage or worked out "
    "from what it says.",
    "Short answers (names, numbers, dates, phrases) to questions on reports and histories.",
)


def _asked(row: Row) -> str:
    passage, question = text(row["passage"]), text(row["question"])
    return f"Passage: {passage}\nQuestion: {question}" if passage and question else ""


def _answer(row: Row) -> str:
    spans = (row["answers_spans"] or {}).get("spans") or ()
    return next(filter(None, map(text, spans)), "")


TASKS = [
    declared_task(
        "drop",
        source=SOURCE,
        kind="knowledge",
        split="test",
        summary="short answers to questions on a passage",
        file=FILE,
        columns=("passage", "question", "answers_spans"),
        input=_asked,
        output=_answer,
        descriptions=DESCRIPTIONS,
        length=10,
    )
]
