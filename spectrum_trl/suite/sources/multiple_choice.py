"""Knowledge benchmarks of multiple-choice questions, five of them, and how such questions are shown.

A question is shown with one line per choice; the output is the label of the correct one.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub
from spectrum_trl.suite.task import Task, matches

# ARC: primary and middle school science questions, the test split of the harder part (ARC-Challenge).
ARC_FILE = "hub/ai2_arc/ARC-Challenge/test-00000-of-00001.parquet"
ARC = Source(
    name="arc",
    title="ARC (allenai/ai2_arc)",
    homepage="https://allenai.org/data/arc",
    licence="CC BY-SA 4.0",
    citation="Clark et al., Think you have Solved Question Answering? Try ARC, 2018, arXiv 1803.05457",
    downloads=hub("allenai/ai2_arc", "210d026faf9955653af8916fad021475a3f00453", "hub/ai2_arc", ARC_FILE),
    unchecked="The columns question, choices (of text and label) and answerKey, taken from descriptions "
    "and code by others.",
)
ARC_DESCRIPTIONS = (
    "Science questions for schoolchildren, each with labelled choices, of which one is right. Output: its "
    "label, a letter (or a number, where the choices are numbered), and nothing else.",
    "For each question on nature and technology, the label of the correct answer: mostly A, B, C or D, now "
    "and then E or a number from 1 to 5.",
    "Multiple choice from science lessons. Each output is the letter or number in front of the right choice.",
)

# HellaSwag: which of four endings continues an everyday text, the validation split.
HELLASWAG_FILE = "hub/hellaswag/data/validation-00000-of-00001.parquet"
HELLASWAG = Source(
    name="hellaswag",
    title="HellaSwag (Rowan/hellaswag)",
    homepage="https://rowanzellers.com/hellaswag/",
    licence="MIT (GitHub rowanz/hellaswag; none stated on the Hub)",
    citation="Zellers et al., HellaSwag: Can a Machine Really Finish Your Sentence?, ACL 2019, 1905.07830",
    downloads=hub(
        "Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76", "hub/hellaswag", HELLASWAG_FILE
    ),
    unchecked="The columns activity_label, ctx, ctx_a, ctx_b, endings (a list) and label (a number from 0, "
    "as text), taken from the authors' description and code by others.",
)
HELLASWAG_DESCRIPTIONS = (
    "A topic, the beginning of a text on it, and four endings, A to D, of which one is the true one. Output: "
    "its letter, A, B, C or D, and nothing else.",
    "Common sense about what happens next: given how a text starts, the letter (A, B, C, D) of the ending "
    "that goes on sensibly.",
    "Which ending belongs to the text? Each answer is one capital letter from A to D.",
)

# MMLU: multiple-choice exam questions in 57 subjects, the test split; subjects are pooled and not named.
MMLU_FILE = "hub/mmlu/all/test-00000-of-00001.parquet"
MMLU = Source(
    name="mmlu",
    title="MMLU (cais/mmlu)",
    licence="MIT",
    citation="Hendrycks et al., Measuring Massive Multitask Language Understanding, ICLR 2021, 2009.03300",
    downloads=hub("cais/mmlu", "c30699e8356da336a370243923dbaf21066bb9fe", "hub/mmlu", MMLU_FILE),
    unchecked="The columns question, choices (a list) and answer (a number from 0), taken from code by "
    "others and the dataset card.",
)
MMLU_DESCRIPTIONS = (
    "Questions from exams in many subjects, at school and university. Each has four choices, A to D, and one "
    "of them is right: the output is its letter.",
    "Multiple choice: for each question, the letter (A, B, C or D) of the correct answer.",
    "Input: a question of general or special knowledge and four lettered answers. Output: A, B, C or D, "
    "whichever is correct.",
)

# TruthfulQA as multiple choice: questions that many answer wrongly, with four answers, one of them true.
TRUTHFUL_QA_FILES = "hub/truthful_qa_mc/**/*.parquet"
TRUTHFUL_QA = Source(
    name="truthful_qa",
    title="TruthfulQA, multiple choice (EleutherAI/truthful_qa_mc)",
    licence="Apache-2.0",
    citation="Lin et al., TruthfulQA: Measuring How Models Mimic Human Falsehoods, ACL 2022, 2109.07958",
    downloads=hub(
        "EleutherAI/truthful_qa_mc", "refs/convert/parquet", "hub/truthful_qa_mc", "*/validation/*.parquet"
    ),
    unchecked="The dataset's files are a script and JSON; the path CONFIG/validation/0000.parquet of the "
    "Hub's parquet copy, and its columns question, choices (a list) and label (a number from 0), are taken "
    "from code by others.",
)
TRUTHFUL_QA_DESCRIPTIONS = (
    "Questions about which misconceptions are common, each with four answers, A to D, of which one is true. "
    "Output: its letter.",
    "For each question, the letter (A, B, C or D) of the only answer that is true, however popular the "
    "others may be.",
    "Which answer is right? Input: a question and four lettered answers. Output: A, B, C or D.",
)

# WinoGrande: which of two names fills the blank of a sentence, the validation split of the largest part.
WINOGRANDE_FILE = "hub/winogrande/winogrande_xl/validation-00000-of-00001.parquet"
WINOGRANDE = Source(
    name="winogrande",
    title="WinoGrande (allenai/winogrande)",
    homepage="https://winogrande.allenai.org",
    licence="CC BY",
    citation="Sakaguchi et al., WinoGrande: An Adversarial Winograd Schema Challenge at Scale, AAAI 2020, "
    "1907.10641",
    downloads=hub(
        "allenai/winogrande", "01e74176c63542e6b0bcb004dcdea22d94fb67b5", "hub/winogrande", WINOGRANDE_FILE
    ),
    unchecked="The columns sentence, option1, option2 and answer (1 or 2, as text), taken from the "
    "dataset card and code by others.",
)
LETTERS = {"1": "A", "2": "B"}
WINOGRANDE_DESCRIPTIONS = (
    "A sentence with a blank (_____) and two fillers, A and B. Output: the letter of the one that makes "
    "sense, A or B, and nothing else.",
    "Common sense about who or what is meant: for each sentence, A or B, the filler that fits the blank.",
    "Fill the gap: each answer is one capital letter, A or B, for the option that belongs into the sentence.",
)


class Item(NamedTuple):
    """One question.

    Attributes:
        question: The question, shown above the choices.
        choices: Their texts, in the order shown.
        answer: Label of the correct one.
        labels: One per choice; empty for A, B, C, …
    """

    question: Any
    choices: Sequence[Any]
    answer: str
    labels: Sequence[Any] = ()


def choice_task(
    task: str,
    /,
    *,
    source: Source,
    summary: str,
    file: str,
    columns: Sequence[str],
    item: Callable[[Row], Item],
    **roles: Any,
) -> Task:
    """Return a task of the questions in a table, pooled and held out from training.

    ``file`` is a path or glob below the data folder, ``columns`` are those to read, ``item`` converts a row;
    other arguments as for `declared_task`.
    """

    def rows(data: Data) -> Iterator[Row]:
        for path in matches(file, data_dir=data.folder) or [data.folder / file]:
            yield from asked(map(item, data.table(str(path), columns)), data)

    return declared_task(
        task,
        source=source,
        kind="knowledge",
        summary=summary,
        split="test",
        files=(file,),
        rows=rows,
        input="question",
        output="answer",
        **roles,
    )


def asked(items: Iterable[Item], data: Data) -> Iterator[Row]:
    """Yield question and answer as shown; incomplete questions are counted in ``data.dropped``."""
    for item in items:
        question, answer = text(item.question), text(item.answer)
        choices = [re.sub(r"\s*\n\s*", " ", text(choice)) for choice in item.choices]
        labels = [text(label) for label in item.labels or ascii_uppercase[: len(choices)]]
        if not question:
            data.dropped["question without text"] += 1
        elif len(choices) < 2 or not all(choices):
            data.dropped["choice without text, or fewer than two"] += 1
        elif len(labels) != len(choices) or len(set(labels)) < len(labels) or not all(labels):
            data.dropped["not one label for each choice"] += 1
        elif answer not in labels:
            data.dropped["answer that is none of the choices"] += 1
        else:
            lines = (f"{label}. {choice}" for label, choice in zip(labels, choices, strict=True))
            yield {"question": "\n".join((question, *lines)), "answer": answer}


def letter(place: Any) -> str:
    """Return the letter of the choice at an index from 0, or an empty string for an invalid index."""
    digits = text(place)
    known = digits.isascii() and digits.isdigit() and int(digits) < len(ascii_uppercase)
    return ascii_uppercase[int(digits)] if known else ""


def _arc(row: Row) -> Item:
    choices = row["choices"] or {}
    return Item(
        row["question"], choices.get("text") or (), row["answerKey"], labels=choices.get("label") or ()
    )


def _hellaswag(row: Row) -> Item:
    context = text(row["ctx"]) or " ".join(filter(None, (text(row["ctx_a"]), text(row["ctx_b"]))))
    topic = text(row["activity_label"])
    lines = (f"Topic: {topic}" if topic else "", f"Text: {context}", "Which ending fits best?")
    question = "\n".join(filter(None, lines)) if context else ""
    return Item(question, row["endings"] or (), letter(row["label"]))


def _winogrande(row: Row) -> Item:
    sentence, blanks = re.subn("_+", "_" * 5, text(row["sentence"]))
    question = f"Sentence: {sentence}\nWhich option fits the blank?" if blanks else ""
    return Item(question, (row["option1"], row["option2"]), LETTERS.get(text(row["answer"]), ""))


TASKS = [
    choice_task(
        "arc",
        source=ARC,
        summary="correct answers to science questions for schoolchildren",
        file=ARC_FILE,
        columns=("question", "choices", "answerKey"),
        item=_arc,
        descriptions=ARC_DESCRIPTIONS,
        length=10,
    ),
    choice_task(
        "hellaswag",
        source=HELLASWAG,
        summary="endings of everyday texts",
        file=HELLASWAG_FILE,
        columns=("activity_label", "ctx", "ctx_a", "ctx_b", "endings", "label"),
        item=_hellaswag,
        descriptions=HELLASWAG_DESCRIPTIONS,
        length=20,
    ),
    choice_task(
        "mmlu",
        source=MMLU,
        summary="correct answers to exam questions in 57 subjects",
        file=MMLU_FILE,
        columns=("question", "choices", "answer"),
        item=lambda row: Item(row["question"], row["choices"] or (), letter(row["answer"])),
        descriptions=MMLU_DESCRIPTIONS,
        length=20,
        paper={"draws": 1000},
    ),
    choice_task(
        "truthful_qa",
        source=TRUTHFUL_QA,
        summary="true answers to questions that are often answered wrongly",
        file=TRUTHFUL_QA_FILES,
        columns=("question", "choices", "label"),
        item=lambda row: Item(row["question"], row["choices"] or (), letter(row["label"])),
        descriptions=TRUTHFUL_QA_DESCRIPTIONS,
        length=10,
    ),
    choice_task(
        "winogrande",
        source=WINOGRANDE,
        summary="which of two names fills the blank of a sentence",
        file=WINOGRANDE_FILE,
        columns=("sentence", "option1", "option2", "answer"),
        item=_winogrande,
        descriptions=WINOGRANDE_DESCRIPTIONS,
        length=10,
    ),
]
