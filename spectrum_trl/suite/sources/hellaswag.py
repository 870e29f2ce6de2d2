"""HellaSwag: which of four endings continues an everyday text, the validation split."""

from spectrum_trl.suite.sequences.builders import Row, text
from spectrum_trl.suite.sequences.multiple_choice import Item, choice_task, letter
from spectrum_trl.suite.source import Source, hub

FILE = "hub/hellaswag/data/validation-00000-of-00001.parquet"
SOURCE = Source(
    name="hellaswag",
    title="HellaSwag (Rowan/hellaswag)",
    homepage="https://rowanzellers.com/hellaswag/",
    licence="MIT (GitHub rowanz/hellaswag; none stated on the Hub)",
    citation="Zellers et al., HellaSwag: Can a Machine Really Finish Your Sentence?, ACL 2019, 1905.07830",
    downloads=hub("Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76", "hub/hellaswag", FILE),
    unchecked="The columns activity_label, ctx, ctx_a, ctx_b, endings (a list) and label (a number from 0, "
    "as text), taken from the authors' description and code by others.",
)

DESCRIPTIONS = (
    "A topic, the beginning of a text on it, and four endings, A to D, of which one is the true one. Output: "
    "its letter, A, B, C or D, and nothing else.",
    "Common sense about what happens next: given how a text starts, the letter (A, B, C, D) of the ending "
    "that goes on sensibly.",
    "Which ending belongs to the text? Each answer is one capital letter from A to D.",
)


def _item(row: Row) -> Item:
    context = text(row["ctx"]) or " ".join(filter(None, (text(row["ctx_a"]), text(row["ctx_b"]))))
    topic = text(row["activity_label"])
    lines = (f"Topic: {topic}" if topic else "", f"Text: {context}", "Which ending fits best?")
    question = "\n".join(filter(None, lines)) if context else ""
    return Item(question, row["endings"] or (), letter(row["label"]))


TASKS = [
    choice_task(
        "hellaswag",
        source=SOURCE,
        summary="endings of everyday texts",
        file=FILE,
        columns=("activity_label", "ctx", "ctx_a", "ctx_b", "endings", "label"),
        item=_item,
        descriptions=DESCRIPTIONS,
        length=20,
    )
]
