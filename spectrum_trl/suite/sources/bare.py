"""Synthetic datasets of BARE: drafts by a base model, refined by GPT-4o (six files, 500 to 1,000 rows each).

Each task combines four sub-tasks. A row that lacks a field is used by the sub-tasks that do not need it, and
counted for each of the others; a spam label other than true or false counts as missing.
"""

from functools import partial

from spectrum_trl.suite.sequences.builders import Part, Sequences, pooled_parts, text
from spectrum_trl.suite.source import Download, Source
from spectrum_trl.suite.task import Data, Task

FOLDER = "bare/sample_generated_data"
FILES = {
    "bare_gsm8k": f"{FOLDER}/gsm8k/gsm8k_gpt_4o_refine_llama_70b_base_n=1000.jsonl",
    "bare_enron": f"{FOLDER}/enron/enron_gpt_4o_refine_llama_70b_base_n=500.jsonl",
    "bare_hotpot": f"{FOLDER}/hotpot/hotpot_gpt_4o_refine_llama_70b_base_n=1000.jsonl",
    "bare_lcb": f"{FOLDER}/lcb/lcb_gpt_4o_refine_70b_base_n=1000.jsonl",
    "newsgroups": f"{FOLDER}/newsgroups/newsgroups_gpt_4o_refine_llama_70b_base_n=500.jsonl",
    "pubmed": f"{FOLDER}/pubmed/pubmed_gpt_4o_refine_llama_70b_base_n=1000.jsonl",
}
SOURCE = Source(
    name="bare",
    title="BARE sample data (pgasawa/BARE)",
    licence="MIT (LICENSE; an early README said Apache 2.0); written by Llama 3.1 70B and GPT-4o",
    citation="Zhu, Asawa, Davis, Chen, Hanin, Stoica, Gonzalez, Zaharia, BARE: Leveraging Base Language "
    "Models for Few-Shot Synthetic Data Generation, 2025, arXiv 2502.01697",
    # No commit is known to hold these files; HEAD is the default branch.
    downloads=tuple(
        Download(path=f"BARE/{inside}", url=f"https://raw.githubusercontent.com/pgasawa/BARE/HEAD/{inside}")
        for inside in FILES.values()
    ),
    unchecked="No file was at hand: file and column names are those of the research code; the public code "
    "of BARE confirms the six datasets. How spam is labelled in the file is assumed "
    "(true/false or 1/0).",
)
SPAM = {"true": True, "1": True, "false": False, "0": False}


def _build(data: Data, *, task: str, parts: tuple[Part, ...]) -> Sequences:
    columns = parts[0].output
    assert isinstance(columns, tuple)
    rows = list(data.table(f"BARE/{FILES[task]}", columns))
    if "spam" in columns:
        rows = [row | {"spam": SPAM.get(text(row["spam"]).lower())} for row in rows]
    yield from pooled_parts(rows, data, task=task, parts=parts, mean_length=32)


def _questions(about: tuple[str, str], *, question: str, answer: str) -> tuple[Part, ...]:
    """Return the sub-tasks of a file with a question and an answer."""
    return (
        Part(
            "whole",
            ("question", "answer"),
            (
                f"{about[0]} Each output is a JSON object with {question} (question) and {answer} (answer).",
                f"Written from scratch: {question} together with {answer}, as JSON with the keys question "
                f"and answer. {about[1]}",
            ),
        ),
        Part(
            "answer",
            "answer",
            (
                f"{about[0]} Input: {question}. Output: {answer}.",
                f"Given {question}, the output is {answer}. {about[1]}",
            ),
            "question",
        ),
        Part(
            "question",
            "question",
            (
                f"{about[0]} Input: {answer}. Output: {question} that it belongs to.",
                f"From {answer}, the output goes back to {question}. {about[1]}",
            ),
            "answer",
        ),
        Part(
            "question_alone",
            "question",
            (f"{about[0]} Each output is {question}, no more.", f"Only {question} each time. {about[1]}"),
        ),
    )


def _labelled(about: tuple[str, str], *, label: str, means: str, body: str, noun: str) -> tuple[Part, ...]:
    """Return the sub-tasks of a file with a text and its label."""
    return (
        Part(
            "whole",
            (label, body),
            (
                f"{about[0]} Each output is a JSON object: {label} ({means}) and {body}, the {noun}.",
                f"{about[1]} Format: JSON. The key {label} comes first ({means}), then {body}.",
            ),
        ),
        Part(
            "label",
            label,
            (
                f"{about[0]} Input: the {noun}. Output: {means}.",
                f"For each {noun}, the output is its label: {means}. {about[1]}",
            ),
            body,
        ),
        Part(
            "text",
            body,
            (
                f"{about[0]} Input: {means}. Output: a {noun} to which that applies.",
                f"For each label ({means}) one {noun} that fits it. {about[1]}",
            ),
            label,
        ),
        Part(
            "text_alone",
            body,
            (
                f"{about[0]} Each output is one {noun}.",
                f"Nothing but the text of one {noun} each. {about[1]}",
            ),
        ),
    )


def _reading(about: tuple[str, str], *, context: str) -> tuple[Part, ...]:
    """Return the sub-tasks of a file with passages, a question on them and its answer."""
    return (
        Part(
            "whole",
            ("context", "question", "answer"),
            (
                f"{about[0]} Each output is JSON: {context} (context), a question about it and the answer.",
                f"JSON objects with the keys context ({context}), question and answer. {about[1]}",
            ),
        ),
        Part(
            "answer",
            "answer",
            (
                f"{about[0]} Input: JSON of context and question. Output: the answer, with its evidence.",
                f"Answer the question from its context, {context}, and give the evidence. {about[1]}",
            ),
            ("context", "question"),
        ),
        Part(
            "question",
            "question",
            (
                f"{about[0]} Input: JSON of context and answer. Output: the question that was asked.",
                f"Which question about the context has this answer? {about[1]}",
            ),
            ("context", "answer"),
        ),
        Part(
            "context_alone",
            "context",
            (
                f"{about[0]} Each output is {context}, without question or answer.",
                f"Only {context} each time, on which questions could be asked. {about[1]}",
            ),
        ),
    )


PARTS: dict[str, tuple[Part, ...]] = {
    "bare_gsm8k": _questions(
        (
            "Made-up maths exercises for primary school, in the manner of GSM8K.",
            "The exercises tell everyday stories and need a few steps of arithmetic; a language model wrote "
            "them.",
        ),
        question="a word problem",
        answer="its solution, step by step",
    ),
    "bare_lcb": _questions(
        (
            "Synthetic questions about what a program would return, in the manner of LiveCodeBench.",
            "The questions come from a language model: a programming task in words, whose result on some "
            "test input is to be found.",
        ),
        question="a programming question",
        answer="the worked answer",
    ),
    "bare_enron": _labelled(
        (
            "E-mails as in the inboxes of the company Enron, unsolicited ones among them, but invented.",
            "A language model wrote these e-mails; some are business mail and some are spam.",
        ),
        label="spam",
        means="true for spam, false for ordinary mail",
        body="email",
        noun="e-mail",
    ),
    "newsgroups": _labelled(
        (
            "Invented posts to Usenet discussion groups, in the manner of the 20 Newsgroups collection.",
            "The posts were made by a language model; each belongs to one newsgroup, such as sci.med or "
            "comp.graphics.",
        ),
        label="newsgroup",
        means="the name of the newsgroup",
        body="message",
        noun="post",
    ),
    "bare_hotpot": _reading(
        (
            "Reading comprehension like HotpotQA, made by a language model: facts from several passages have "
            "to be combined.",
            "The passages and questions are invented; most questions need more than one passage.",
        ),
        context="passages of text",
    ),
    "pubmed": _reading(
        (
            "Biomedical questions on abstracts of studies, in the manner of PubMedQA, all written by a "
            "language model.",
            "The studies are made up: questions and answers of medicine and biology.",
        ),
        context="abstracts of research",
    ),
}
SUMMARIES = {
    "bare_gsm8k": "synthetic word problems with solutions",
    "bare_enron": "synthetic e-mails, spam and not",
    "bare_hotpot": "synthetic questions over several passages",
    "bare_lcb": "synthetic questions about the results of programs",
    "newsgroups": "synthetic newsgroup posts and their groups",
    "pubmed": "synthetic biomedical questions on abstracts",
}
TASKS = [
    Task(
        name=name,
        summary=SUMMARIES[name],
        source=SOURCE,
        kind="generation",
        files=(f"BARE/{inside}",),
        build=partial(_build, task=name, parts=PARTS[name]),
    )
    for name, inside in FILES.items()
]
