"""Chatbot Arena: prompts, votes and answers from 33,000 conversations with two anonymous models.

Only conversations of judges with at least four are used, as in the paper (some 17,900 rows). Repeated
prompts are kept. Empty texts and unknown votes are counted for each task that leaves them out.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from spectrum_trl.suite.randomness import stream
from spectrum_trl.suite.sequences.builders import Data, Row, text
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, hub

FOLDER = "chatbot_arena_conversations"
FILE = f"{FOLDER}/data/train-00000-of-00001-cced8514c7ed782a.parquet"
SOURCE = Source(
    name="chatbotarena",
    title="Chatbot Arena Conversations (lmsys/chatbot_arena_conversations)",
    licence="CC BY 4.0 (prompts), CC BY-NC 4.0 (answers of models)",
    citation="Zheng et al., Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena, 2023, NeurIPS",
    downloads=hub(
        "lmsys/chatbot_arena_conversations", "1b6335d42a1d2c7e34870c905d03ab964f7f2bd8", FOLDER, FILE
    ),
    terms="The Hub asks you to log in, to share your contact data, and to agree that the conversations may "
    "be offensive, that the models' own terms hold for their answers, and that you identify nobody.",
    size=41_572_998,
    unchecked="No file was at hand: columns (judge, model_a, model_b, winner, conversation_a, "
    "conversation_b) and the four kinds of votes are those of the data card and of public loaders.",
)
VOTES = {"model_a": "a", "model_b": "b", "tie": "tie", "tie (bothbad)": "bothbad"}
AT_LEAST = 4
JUDGES = 1000
PROMPTS = 100

PROMPT_DESCRIPTIONS = (
    "Messages with which one and the same person opens conversations with language models.",
    "Prompts to a chatbot, all written by one user. Each output is the first message of a conversation.",
    "What a single visitor of a site for comparing chatbots asked them.",
)
PREFERENCE_DESCRIPTIONS = (
    "One person puts prompts to two language models at once and says which answer is better. Input: JSON "
    "with opening_prompt, model_a_response and model_b_response. Output: a, b, tie (equally good) or bothbad "
    "(equally bad). The person may have gone on talking before the vote.",
    "Votes of a single user between two chatbots, a and b, after their first replies and possibly more. "
    "Possible outputs: a, b, tie, bothbad.",
    "Which reply does this user prefer? All prompts and votes are by the same person; a or b for the better "
    "model, tie if both are good alike, bothbad if neither is good.",
)
ASSISTANT_DESCRIPTIONS = (
    "Replies of one language model, which may be good or bad, to the prompts of many users.",
    "Input: a message to a chatbot. Output: what it answered. The chatbot is always the same: {model}.",
    "How does this model answer? Each input opens a conversation; all outputs come from the same assistant, "
    "whose quality is not known.",
)


def _message(conversation: Any, place: int) -> str:
    """Return a message of a conversation, or an empty string if there is none."""
    found = conversation[place] if isinstance(conversation, list) and len(conversation) > place else None
    return text(found.get("content")) if isinstance(found, dict) else ""


def _rows(data: Data, columns: tuple[str, ...]) -> Iterator[Row]:
    """Yield the conversations of judges who have enough of them."""
    counts = Counter(text(row["judge"]) for row in data.table(FILE, ("judge",)))
    yield from data.keep(
        data.table(FILE, ("judge", *columns)),
        lambda row: bool(judge := text(row["judge"])) and counts[judge] >= AT_LEAST,
        reason=f"of a judge with fewer than {AT_LEAST} conversations",
    )


def _first_judges(
    rows: Iterator[Row], most: int | None, data: Data, *, shuffled: bool = False
) -> Iterator[Row]:
    """Yield the rows of the first judges, in file order or a random one."""
    if most is None:
        yield from rows
        return
    held = list(rows)
    judges = list(dict.fromkeys(text(row["judge"]) for row in held))
    if shuffled:
        order = stream(data.seed, task="chatbotarena", purpose="judges").permutation(len(judges))
        judges = [judges[place] for place in order]
    kept = set(judges[:most])
    yield from data.keep(held, lambda row: text(row["judge"]) in kept, reason=f"of other than {most} judges")


def _votes(data: Data, *, most: int | None = None) -> Iterator[Row]:
    rows = _rows(data, ("winner", "conversation_a", "conversation_b"))
    for row in _first_judges(rows, most, data):
        yield {
            "judge": row["judge"],
            "opening_prompt": _message(row["conversation_a"], 0),
            "model_a_response": _message(row["conversation_a"], 1),
            "model_b_response": _message(row["conversation_b"], 1),
            "vote": VOTES.get(text(row["winner"])),
        }


def _answers(data: Data) -> Iterator[Row]:
    columns = ("model_a", "model_b", "conversation_a", "conversation_b")
    for row in _rows(data, columns):
        for side in "ab":
            yield {
                "model": row[f"model_{side}"],
                "prompt": _message(row[f"conversation_{side}"], 0),
                "answer": _message(row[f"conversation_{side}"], 1),
            }


def _prompts(data: Data, *, most: int | None = None) -> Iterator[Row]:
    return _first_judges(_rows(data, ("conversation_a",)), most, data, shuffled=True)


task = partial(declared_task, source=SOURCE, split="test", files=(FILE,))
TASKS = [
    task(
        "chatbotarena_prompts",
        kind="individual",
        summary="one person's prompts to chatbots",
        paper={"rows": partial(_prompts, most=JUDGES), "draws": 1},
        rows=_prompts,
        group_by=("judge",),
        output=lambda row: _message(row["conversation_a"], 0),
        descriptions=PROMPT_DESCRIPTIONS,
        length=PROMPTS,
    ),
    task(
        "chatbotarena_individual_prefs",
        kind="individual",
        summary="one person's votes between two chatbots",
        paper={"rows": partial(_votes, most=JUDGES)},
        rows=_votes,
        group_by=("judge",),
        input=("opening_prompt", "model_a_response", "model_b_response"),
        output="vote",
        descriptions=PREFERENCE_DESCRIPTIONS,
        mean_length=16,
    ),
    task(
        "chatbotarena_assistant",
        kind="generation",
        summary="one language model's answers",
        rows=_answers,
        group_by=("model",),
        input="prompt",
        output="answer",
        descriptions=ASSISTANT_DESCRIPTIONS,
        mean_length=32,
    ),
]
