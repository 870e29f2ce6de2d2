"""Collective Alignment 1 (CoVal): people rank four answers to value-laden prompts, and say why.

Of several rankings in one block, the first is used, as in the paper. The JSON omits what a person left out,
and the description omits unknown traits.
"""

from collections.abc import Iterator
from typing import Any

from spectrum_trl.suite.sequences.builders import Data, Row, as_json, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub

COMPARISONS = "collective_alignment/comparisons.jsonl"
ASSESSMENTS = "collective_alignment/merged_comparisons_annotators.jsonl"
SOURCE = Source(
    name="collective_alignment",
    title="Collective Alignment 1, now CoVal (openai/coval)",
    licence="CC BY 4.0",
    citation="OpenAI, Collective alignment: public input on our Model Spec, 2025, openai.com",
    downloads=hub(
        "openai/coval",
        "f0f45eacea13be9c71b4b85c489ca01e174c86c1",
        "collective_alignment",
        COMPARISONS,
        ASSESSMENTS,
    ),
    size=44_412_629,
    unchecked="No file was at hand. Names and sizes of the files, prompt_id, annotator_id, ranking, "
    "rationale and rating are those of the data card and of public loaders; that rating is a list, that the "
    "four answers are marked A to D, and the keys of demographics are taken as they come.",
)
LETTERS = "abcd"
SHOWN = ("conversation", *(f"response_{letter}" for letter in LETTERS))
SCALES = ("importance", "representativeness", "subjectivity")
AT_LEAST = 3
UNKNOWN = ("", "nan", "none", "unknown", "prefer not to say")

DESCRIPTIONS = (
    "One person judges how an AI should answer. Input: JSON of a conversation and four responses. Output: "
    "JSON of the person's own ranking (personal_ranking) and of the one for everybody (world_ranking), with "
    "reasons (personal_rationale, world_rationale), of responses that nobody should give "
    "(unacceptable_responses, unacceptable_rationale), and of how important, representative and subjective "
    "the matter is (importance, representativeness, subjectivity). What the person did not say is "
    "missing.{known}",
    "Evaluations of AI responses, all by the same person: which of the responses A to D are better for the "
    "person and for the world, why, which are unacceptable, and how much the prompt matters, to how many, "
    "and how far opinions on it may differ. All in JSON, with the parts that the person filled in.{known}",
)


def _said(message: Any) -> str:
    return text(message.get("content")) if isinstance(message, dict) else ""


def _conversation(prompt: Any) -> str:
    """Return the messages of a prompt: the user's, one below the other, or all of them with their roles."""
    messages = prompt.get("messages") if isinstance(prompt, dict) else None
    said = [
        (text(message.get("role")), content)
        for message in (messages if isinstance(messages, list) else [])
        if (content := _said(message))
    ]
    if any(role != "user" for role, _ in said):
        return "\n".join(f"{role}: {content}" for role, content in said)
    return "\n".join(content for _, content in said)


def _responses(found: Any) -> dict[str, str]:
    """Return the first message of each response, by its letter in lower case."""
    answers = {}
    for response in found if isinstance(found, list) else []:
        messages = response.get("messages") if isinstance(response, dict) else None
        if isinstance(messages, list) and messages:
            answers[f"response_{text(response.get('response_index')).lower()}"] = _said(messages[0])
    return answers


def _comparisons(data: Data) -> dict[str, dict[str, str]]:
    """Return the conversation and answers of each prompt."""
    found: dict[str, dict[str, str]] = {}
    for row in data.table(COMPARISONS, ("prompt_id", "prompt", "responses")):
        if (name := text(row["prompt_id"])) in found:
            data.dropped["further comparison of the same prompt"] += 1
            continue
        answers = _responses(row["responses"])
        shown = {"conversation": _conversation(row["prompt"]), **answers}
        found[name] = {key: shown.get(key, "") for key in SHOWN}
    return found


def _block(row: Row, name: str) -> dict[str, Any]:
    """Return the first ranking of a kind; nothing if there is none."""
    blocks = row["ranking_blocks"].get(name) if isinstance(row["ranking_blocks"], dict) else None
    return blocks[0] if isinstance(blocks, list) and blocks and isinstance(blocks[0], dict) else {}


def _assessment(row: Row) -> str:
    personal, world, unacceptable = (_block(row, name) for name in ("personal", "world", "unacceptable"))
    rating = unacceptable.get("rating")
    refused = rating if isinstance(rating, list) else [rating]
    return as_json(
        {
            "personal_ranking": personal.get("ranking"),
            "world_ranking": world.get("ranking"),
            "personal_rationale": personal.get("rationale"),
            "world_rationale": world.get("rationale"),
            "unacceptable_responses": "|".join(each for each in map(text, refused) if each),
            "unacceptable_rationale": unacceptable.get("rationale"),
            **{scale: row[scale] for scale in SCALES},
        }
    )


def known(traits: Any) -> str:
    """Return a person's known traits, as a sentence; an empty string without any."""
    told = traits.items() if isinstance(traits, dict) else ()
    found = as_json({name: value for name, value in told if text(value).lower() not in UNKNOWN})
    return f" What is known of the person: {found}" if found else ""


def _assessments(data: Data) -> Iterator[Row]:
    comparisons = _comparisons(data)
    columns = ("prompt_id", "annotator_id", "ranking_blocks", "demographics", *SCALES)
    for row in data.table(ASSESSMENTS, columns):
        if (shown := comparisons.get(text(row["prompt_id"]))) is None:
            data.dropped["of a prompt that is not among the comparisons"] += 1
        else:
            yield {
                **shown,
                "annotator_id": row["annotator_id"],
                "assessment": _assessment(row),
                "known": known(row["demographics"]),
            }


TASKS = [
    declared_task(
        "collective_alignment_individual",
        source=SOURCE,
        kind="individual",
        summary="one person's rankings of AI responses, with reasons",
        files=(COMPARISONS, ASSESSMENTS),
        rows=_assessments,
        group_by=("annotator_id",),
        input=SHOWN,
        output="assessment",
        descriptions=DESCRIPTIONS,
        at_least=AT_LEAST,
    ),
]
