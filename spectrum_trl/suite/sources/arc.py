"""ARC: primary and middle school science questions, the test split of the harder part (ARC-Challenge)."""

from spectrum_trl.suite.sequences.builders import Row
from spectrum_trl.suite.sequences.multiple_choice import Item, choice_task
from spectrum_trl.suite.source import Source, hub

FILE = "hub/ai2_arc/ARC-Challenge/test-00000-of-00001.parquet"
SOURCE = Source(
    name="arc",
    title="ARC (allenai/ai2_arc)",
    homepage="https://allenai.org/data/arc",
    licence="CC BY-SA 4.0",
    citation="Clark et al., Think you have Solved Question Answering? Try ARC, 2018, arXiv 1803.05457",
    downloads=hub("allenai/ai2_arc", "210d026faf9955653af8916fad021475a3f00453", "hub/ai2_arc", FILE),
    unchecked="The columns question, choices (of text and label) and answerKey, taken from descriptions "
    "and code by others.",
)

DESCRIPTIONS = (
    "Science questions for schoolchildren, each with labelled choices, of which one is right. Output: its "
    "label, a letter (or a number, where the choices are numbered), and nothing else.",
    "For each question on nature and technology, the label of the correct answer: mostly A, B, C or D, now "
    "and then E or a number from 1 to 5.",
    "Multiple choice from science lessons. Each output is the letter or number in front of the right choice.",
)


def _item(row: Row) -> Item:
    choices = row["choices"] or {}
    return Item(
        row["question"], choices.get("text") or (), row["answerKey"], labels=choices.get("label") or ()
    )


TASKS = [
    choice_task(
        "arc",
        source=SOURCE,
        summary="correct answers to science questions for schoolchildren",
        file=FILE,
        columns=("question", "choices", "answerKey"),
        item=_item,
        descriptions=DESCRIPTIONS,
        length=10,
    )
]
