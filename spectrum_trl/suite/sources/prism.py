"""PRISM: people from many countries who talk with chatbots, score the answers, and describe themselves.

Conversations of people who are not in the survey are counted and left out of the two tasks about individuals.
Traits that people did not state, or preferred not to, are left out of the description.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from string import ascii_lowercase
from typing import Any

from spectrum_trl.suite.sequences.builders import Data, Row, as_json, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub

CONVERSATIONS = "prism/conversations.jsonl"
SURVEY = "prism/survey.jsonl"
SOURCE = Source(
    name="prism",
    title="PRISM Alignment Dataset (HannahRoseKirk/prism-alignment)",
    licence="CC BY 4.0 (what people wrote), CC BY-NC 4.0 (answers of models)",
    citation="Kirk et al., The PRISM Alignment Dataset: What Participatory, Representative and "
    "Individualised Human Feedback Reveals About the Subjective and Multicultural Alignment of Large "
    "Language Models, 2024, NeurIPS",
    downloads=hub(
        "HannahRoseKirk/prism-alignment",
        "18ab5cfb37456f4ec8cbc00212ce54cf7b1239f6",
        "prism",
        CONVERSATIONS,
        SURVEY,
    ),
    size=65_200_000,
    unchecked="No file was at hand: fields, the three types of conversation, and the nested location and "
    "religion are those of public loaders of this revision. Scores are assumed to be 0 to 100.",
)
TYPES = {
    "unguided": "Ask a language model for anything, or talk to it about anything you like.",
    "values guided": "Talk to a language model about something that is important to you, or that shows what "
    "you value.",
    "controversy guided": "Talk to a language model about something on which people around you disagree.",
}
RESPONSES = 4
SHOWN = ("opening_prompt", *(f"response_{letter}" for letter in ascii_lowercase[:RESPONSES]))
PROMPT = ("conversation_type", "opening_prompt")
UNKNOWN = ("", "nan", "prefer not to say")

PROMPT_DESCRIPTIONS = (
    "What people write first to a language model. Input: what the conversation was to be about (anything, "
    "something they value, or something controversial). Output: an opening message by one of them.",
    "Opening prompts of many different people, each for a given kind of conversation with a chatbot.",
    "For each instruction, the message with which some person began the conversation.",
)
INDIVIDUAL_DESCRIPTIONS = (
    "One and the same person opens conversations with a language model. Input: what the conversation was to "
    "be about. Output: the first message.",
    "Opening prompts by a single person{who}, each for the kind of conversation that the input names.",
)
PREFERENCE_DESCRIPTIONS = (
    "A person{who} sent prompts to a chatbot and got four responses, a to d. The output is JSON: "
    "chosen_response (a, b, c or d), and for each response a score from 0 (worst) to 100 (best).",
    "All judgements are by the same person{who}. Input: an opening prompt and four responses. Output: which "
    "one the person chose to go on with (chosen_response: a, b, c or d), and all four scores, at most 100.",
)


def _said(survey: Row) -> str:
    """Return a participant's known traits, in words."""
    location, religion = (
        survey[column] if isinstance(survey[column], dict) else {} for column in ("location", "religion")
    )
    told = {
        "Age": survey["age"],
        "Gender": survey["gender"],
        "Education": survey["education"],
        "Employment": survey["employment_status"],
        "Country": location.get("reside_country"),
        "Religion": religion.get("simplified"),
    }
    known = {name: said for name, value in told.items() if (said := text(value)).lower() not in UNKNOWN}
    return f" ({'; '.join(f'{name}: {said}' for name, said in known.items())})" if known else ""


def _people(data: Data) -> dict[str, str]:
    """Return the known traits of each survey participant."""
    columns = ("user_id", "age", "gender", "education", "employment_status", "location", "religion")
    people: dict[str, str] = {}
    for row in data.table(SURVEY, columns):
        if (person := text(row["user_id"])) in people:
            data.dropped["further survey of the same participant"] += 1
        else:
            people[person] = _said(row)
    return people


def _of_people(data: Data, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the conversations of survey participants, with their known traits."""
    people = _people(data)
    for row in data.table(CONVERSATIONS, ("user_id", *columns)):
        if (person := text(row["user_id"])) in people:
            yield {**row, "who": people[person]}
        else:
            data.dropped["of somebody who is not in the survey"] += 1


def _instructed(rows: Iterator[dict[str, Any]], data: Data) -> Iterator[Row]:
    for row in rows:
        kind = text(row["conversation_type"]).lower()
        if kind in TYPES:
            yield {**row, "instruction": TYPES[kind]}
        else:
            data.dropped[f"unknown type of conversation {kind[:40]!r}"] += 1


def _score(value: Any) -> int | None:
    """Return a score as a whole number from 0 to 100; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return round(value) if is_number and 0 <= value <= 100 else None


def _judged(row: Row) -> Row | str:
    """Return the four responses and their scores, or why a conversation cannot be used."""
    history = row["conversation_history"]
    answers = [
        message
        for message in (history if isinstance(history, list) else [])
        if isinstance(message, dict)
        and (message.get("role"), message.get("turn")) == ("model", 0)
        and _score(message.get("score")) is not None
        and message.get("if_chosen") is not None
    ]
    # An answer without a position comes last.
    answers.sort(key=lambda each: (each.get("within_turn_id") is None, each.get("within_turn_id") or 0))
    first = answers[:RESPONSES]
    texts = [text(answer.get("content")) for answer in first]
    if len(first) < RESPONSES or not all(texts):
        return "without four scored responses"
    chosen = [letter for letter, each in zip(ascii_lowercase, first, strict=False) if each["if_chosen"]]
    if len(chosen) != 1:
        return "not exactly one chosen response"
    scores = {
        f"score_{letter}": _score(each["score"]) for letter, each in zip(ascii_lowercase, first, strict=False)
    }
    judged = as_json({"chosen_response": chosen[0], **scores})
    return {**row, **dict(zip(SHOWN[1:], texts, strict=True)), "judged": judged}


def _judgements(data: Data) -> Iterator[Row]:
    for row in _of_people(data, ("opening_prompt", "conversation_history")):
        if isinstance(found := _judged(row), str):
            data.dropped[found] += 1
        else:
            yield {key: found[key] for key in ("user_id", "who", "judged", *SHOWN)}


task = partial(declared_task, source=SOURCE, files=(CONVERSATIONS, SURVEY))
TASKS = [
    task(
        "prism_prompts",
        kind="generation",
        summary="people's first messages to chatbots",
        files=(CONVERSATIONS,),
        rows=lambda data: _instructed(data.table(CONVERSATIONS, PROMPT), data),
        name="prism_prompts",
        input="instruction",
        output="opening_prompt",
        descriptions=PROMPT_DESCRIPTIONS,
        mean_length=128,
        repeats=("prism_prompts_individual",),
    ),
    task(
        "prism_prompts_individual",
        kind="individual",
        summary="one person's first messages to chatbots",
        rows=lambda data: _instructed(_of_people(data, PROMPT), data),
        group_by=("user_id",),
        input="instruction",
        output="opening_prompt",
        descriptions=INDIVIDUAL_DESCRIPTIONS,
        mean_length=96,
        repeats=("prism_prompts",),
    ),
    task(
        "prism_individual_preferences",
        kind="individual",
        summary="one person's choices and scores of chatbot answers",
        rows=_judgements,
        group_by=("user_id",),
        input=SHOWN,
        output="judged",
        descriptions=PREFERENCE_DESCRIPTIONS,
        mean_length=20,
        at_least=2,
    ),
]
