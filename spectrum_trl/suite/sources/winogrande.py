"""WinoGrande: which of two names fills the blank of a sentence, the validation split of the largest part."""

import re

from spectrum_trl.suite.sequences.builders import Row, text
from spectrum_trl.suite.sequences.multiple_choice import Item, choice_task
from spectrum_trl.suite.source import Source, hub

FILE = "hub/winogrande/winogrande_xl/validation-00000-of-00001.parquet"
SOURCE = Source(
    name="winogrande",
    title="WinoGrande (allenai/winogrande)",
    homepage="https://winogrande.allenai.org",
    licence="CC BY",
    citation="Sakaguchi et al., WinoGrande: An Adversarial Winograd Schema Challenge at Scale, AAAI 2020, "
    "1907.10641",
    downloads=hub("allenai/winogrande", "01e74176c63542e6b0bcb004dcdea22d94fb67b5", "hub/winogrande", FILE),
    unchecked="The columns sentence, option1, option2 and answer (1 or 2, as text), taken from the "
    "dataset card and code by others.",
)
LETTERS = {"1": "A", "2": "B"}

DESCRIPTIONS = (
    "A sentence with a blank (_____) and two fillers, A and B. Output: the letter of the one that makes "
    "sense, A or B, and nothing else.",
    "Common sense about who or what is meant: for each sentence, A or B, the filler that fits the blank.",
    "Fill the gap: each answer is one capital letter, A or B, for the option that belongs into the sentence.",
)


def _item(row: Row) -> Item:
    sentence, blanks = re.subn("_+", "_" * 5, text(row["sentence"]))
    question = f"Sentence: {sentence}\nWhich option fits the blank?" if blanks else ""
    return Item(question, (row["option1"], row["option2"]), LETTERS.get(text(row["answer"]), ""))


TASKS = [
    choice_task(
        "winogrande",
        source=SOURCE,
        summary="which of two names fills the blank of a sentence",
        file=FILE,
        columns=("sentence", "option1", "option2", "answer"),
        item=_item,
        descriptions=DESCRIPTIONS,
        length=10,
    )
]
