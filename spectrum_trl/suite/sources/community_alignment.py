"""Community Alignment: people in five countries compare four answers of a model, in five languages.

The end-of-text token in some answers is removed. Rows without a first prompt or a preferred answer are
counted and left out, as in the paper; so are, task by task, rows that lack another text. Unknown traits of a
person are left out of the description.
"""

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np

from spectrum_trl.suite.sequences.builders import Data, Row, as_json, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub
from spectrum_trl.suite.sources.collective_alignment import known

FOLDER = "community_alignment"
PATTERN = f"{FOLDER}/**/*community_alignment.csv"
# The first existing file is read: the one the paper used, then the one fetched.
NAMES = ("data/filtered_community_alignment.csv", "community_alignment.csv")
SOURCE = Source(
    name="community_alignment",
    title="Community Alignment Dataset (facebook/community-alignment-dataset)",
    licence="CC BY 4.0",
    citation="Zhang et al., Cultivating Pluralism In Algorithmic Monoculture: The Community Alignment "
    "Dataset, 2025, arXiv 2507.09650",
    downloads=hub(
        "facebook/community-alignment-dataset",
        "97343c7f6399fcbea430ed0f37c1768281a78d56",
        FOLDER,
        "community_alignment.csv",
    ),
    unchecked="No file was at hand: the columns are those of public loaders of this revision, which name "
    "the file; the name of the filtered file is that of an earlier data card. Codes of languages other than "
    "en are assumed.",
)
END = "<|end_of_text|>"
LANGUAGES = {"en": "English", "fr": "French", "hi": "Hindi", "it": "Italian", "pt": "Portuguese"}
LETTERS = ("a", "b", "c", "d")
RESPONSES = tuple(f"response_{letter}" for letter in LETTERS)
ROWS = 10_000
AT_LEAST = 4
TRAITS = {
    "age": "annotator_age",
    "gender": "annotator_gender",
    "education_level": "annotator_education_level",
    "politics": "annotator_political",
    "ethnicity": "annotator_ethnicity",
    "country": "annotator_country",
}

PROMPT_DESCRIPTIONS = (
    "Messages that open conversations with a language model. Language: {language}.",
    "What to ask a chatbot, or tell it, first: different prompts, as given to people who use it in "
    "{language}.",
    "Opening prompts for a language model ({language}), one per output.",
)
REPLY_DESCRIPTIONS = (
    "All replies are by one and the same person. Input: JSON of a prompt and of the model_response that the "
    "person liked best. Output: what this person wrote next.{known}",
    "How does this user go on? Given are the first prompt and the model's response; the output is the user's "
    "second message.{known}",
)
PREFERENCE_DESCRIPTIONS = (
    "A person read a prompt and four responses of a model, response_a to response_d. The output is JSON: "
    "preferred_response (one of these four names) and, where the person gave a reason, justification.",
    "One and the same person picks the best of four responses to each prompt (preferred_response: "
    "response_a, response_b, response_c or response_d) and may say why (justification).{known}",
)
RESPONSE_DESCRIPTIONS = (
    "An assistant that answers each prompt with four different responses, for the user to choose from. "
    "Output: a JSON list of four texts.",
    "For every prompt, four alternative replies as a JSON list. They differ, so that people with different "
    "wishes each find one they like.",
)


def _file(data: Data) -> str:
    names = [f"{FOLDER}/{name}" for name in NAMES]
    return next((name for name in names if (data.folder / name).exists()), names[-1])


def _rows(data: Data, *columns: str, most: int | None, people: bool = False) -> Iterator[dict[str, str]]:
    """Yield the rows with a first prompt and a preferred answer, columns without ``first_turn_``."""
    first = tuple(f"first_turn_{name}" for name in ("prompt", "preferred_response", *RESPONSES))
    who = ("annotator_id", *TRAITS.values()) if people else ()
    found = data.table(_file(data), ("assigned_lang", *first, *who, *columns))
    for row in islice(found, most):
        clean = {name.removeprefix("first_turn_"): text(cell) for name, cell in row.items()}
        if not clean["prompt"] or not clean["preferred_response"]:
            data.dropped["without a first prompt or a preferred response"] += 1
            continue
        for name in RESPONSES:
            clean[name] = text(clean[name].replace(END, ""))
        clean["language"] = LANGUAGES.get(clean["assigned_lang"].lower(), clean["assigned_lang"])
        if people:
            clean["known"] = known({name: row[column] for name, column in TRAITS.items()})
        yield clean


def _prompts(data: Data, *, most: int | None = None) -> Iterator[Row]:
    """Yield the first row of each prompt of a language."""
    return data.different(_rows(data, most=most), "language", "prompt")


def _replies(data: Data, *, most: int | None = None) -> Iterator[Row]:
    for row in _rows(data, "second_turn_prompt", most=most, people=True):
        liked = row["preferred_response"]
        yield {**row, "liked": row[liked] if liked in RESPONSES else ""}


def _preference(row: Row) -> str:
    chosen = row["preferred_response"]
    judged = as_json({"preferred_response": chosen, "justification": row["feedback"]})
    return judged if chosen in RESPONSES else ""


def _judged(data: Data, *, most: int | None = None) -> Iterator[Row]:
    return _rows(data, "first_turn_feedback", most=most, people=True)


def _complete(data: Data, *, most: int | None = None) -> Iterator[Row]:
    """Yield language, prompt and the four answers, in an order determined by seed and prompt."""
    for row in _prompts(data, most=most):
        answers = [row[name] for name in RESPONSES]
        if not all(answers):
            data.dropped["without four responses"] += 1
            continue
        rng = np.random.default_rng([data.seed, *row["prompt"].encode()])
        mixed = [answers[place] for place in rng.permutation(len(answers))]
        yield {**row, "answers": json.dumps(mixed, ensure_ascii=False)}


task = partial(declared_task, source=SOURCE, files=(PATTERN,))
of_annotators = partial(
    task,
    kind="individual",
    group_by=("annotator_id",),
    mean_length=25,
    at_least=AT_LEAST,
)
TASKS = [
    task(
        "community_alignment_initial_prompt",
        kind="generation",
        summary="first prompts to a model, in one language",
        rows=_prompts,
        paper={"rows": partial(_prompts, most=ROWS)},
        group_by=("language",),
        output="prompt",
        descriptions=PROMPT_DESCRIPTIONS,
        mean_length=32,
    ),
    of_annotators(
        "community_alignment_individual_reply",
        summary="one person's replies to a model",
        rows=_replies,
        paper={"rows": partial(_replies, most=ROWS)},
        input={"prompt": "prompt", "model_response": "liked"},
        output="second_turn_prompt",
        descriptions=REPLY_DESCRIPTIONS,
    ),
    of_annotators(
        "community_alignment_individual_preferences",
        summary="one person's choices among four answers of a model",
        rows=_judged,
        paper={"rows": partial(_judged, most=ROWS)},
        input=("prompt", *RESPONSES),
        output=_preference,
        descriptions=PREFERENCE_DESCRIPTIONS,
    ),
    task(
        "community_alignment_response",
        kind="generation",
        summary="four different answers to a prompt",
        rows=_complete,
        paper={"rows": partial(_complete, most=ROWS)},
        group_by=("language",),
        input="prompt",
        output="answers",
        descriptions=RESPONSE_DESCRIPTIONS,
        length=5,
    ),
]
