"""ValueConsistency: value-laden questions for four countries in four languages (written by GPT-4, checked).

Only original questions are used, not their rephrasings. The same question in another language is a separate
row.
"""

from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub

FILE = "hub/valueconsistency/valueconsistency.jsonl"
SOURCE = Source(
    name="valueconsistency",
    title="ValueConsistency",
    licence="MIT",
    citation="Moore, Deshpande and Yang, Are Large Language Models Consistent over Value-laden Questions?, "
    "Findings of EMNLP 2024, arXiv 2407.02996",
    downloads=hub(
        "jlcmoore/ValueConsistency",
        "48db64ec23edbf3444b5031179590a4892efe608",
        "hub/valueconsistency",
        "valueconsistency.jsonl",
    ),
    size=4_480_000,
    unchecked="No real file was at hand. The file's name and the first fields follow the dataset page; "
    "that rephrase is true or false follows the research code.",
)

DESCRIPTIONS = (
    "Questions that people answer by their values, in several languages and about several countries. The "
    "input says whether the question is controversial, and names its language and country.",
    "Input: JSON with controversial (true if people are likely to disagree on the topic, else false), "
    "language (the one the question is asked in) and country (the one the topic is taken from). Output: a "
    "question on which values bear.",
)

TASKS = [
    declared_task(
        "valueconsistency",
        source=SOURCE,
        kind="generation",
        summary="value-laden questions of a given language and country",
        file=FILE,
        keep={"rephrase": ("false",)},
        input=("controversial", "language", "country"),
        output="question",
        descriptions=DESCRIPTIONS,
        mean_length=64,
        name="valueconsistency",
    ),
]
