"""Ask an instruct model for several answers with their probabilities, what users try before tuning.

Source: Verbalized Sampling (arXiv 2510.01171); the wording is our own.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.recipe.strict_json import strict_json
from spectrum_trl.suite.task import Message

SHARES = (
    "\n\nDo not answer yourself. Estimate how likely each answer is. Reply with one JSON object and nothing "
    "else: each possible answer as a key, its probability between 0 and 1 as the value. Possible answers: {}."
)
ANSWERS = (
    "Give {n} different possible outputs with the probability of each. Reply with one JSON list and nothing "
    'else, of objects {{"text": ..., "probability": ...}}.'
)
N_ANSWERS = 5
MAX_NEW_TOKENS = 512
Request = tuple[str, tuple[Any, ...]]


def ask_for_shares(row: dict[str, Any], *, prompts: Prompts, context: int | None) -> Request:
    """Return the request for the probabilities of all candidates, answered greedily.

    Args:
        row: Of a distributional task.
        prompts: Writes chat prompts.
        context: Tokens that the model can read, or None.
    """
    question = row["input"] + SHARES.format(", ".join(row["candidates"]))
    messages: list[Message] = [{"role": "input", "content": question}]
    if row["description"]:
        messages.insert(0, {"role": "description", "content": row["description"]})
    settings = {"until": [prompts.end], "do_sample": False, "max_gen_toks": _most_tokens(context)}
    return "generate_until", (prompts.prompt(messages), settings)


def read_shares(answer: str, *, candidates: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the probabilities that an answer names, shape (candidates,); None where it does not parse.

    What it names beside the candidates is left out; a candidate that it does not name has probability 0.
    """
    found = _json(answer, "{", "}")
    if not isinstance(found, dict):
        return None
    by_name = {str(name).strip().casefold(): value for name, value in found.items()}
    values: list[Any] = [by_name.get(candidate.strip().casefold(), 0.0) for candidate in candidates]
    if not all(_is_probability(value) for value in values) or not sum(values) > 0:
        return None
    shares = np.array(values, dtype=np.float64)
    return shares / max(1.0, shares.sum())


def ask_for_answers(
    messages: Sequence[Message], *, prompts: Prompts, settings: dict[str, Any], context: int | None
) -> Request:
    """Return the request for several outputs with their probabilities.

    Args:
        messages: Description and examples.
        prompts: Writes chat prompts.
        settings: Of the generation.
        context: Tokens that the model can read, or None.
    """
    asked: Message = {"role": "input", "content": ANSWERS.format(n=N_ANSWERS)}
    settings = {**settings, "until": [prompts.end], "max_gen_toks": _most_tokens(context)}
    return "generate_until", (prompts.prompt([*messages, asked]), settings)


def draw_answer(answer: str, *, seed: int) -> str | None:
    """Draw one of the outputs that an answer lists, by their probabilities; None where it does not parse."""
    found = _json(answer, "[", "]")
    if not isinstance(found, list):
        return None
    listed = [one for one in found if isinstance(one, dict) and isinstance(one.get("text"), str)]
    weights: list[Any] = [one.get("probability") for one in listed]
    if not listed or not all(map(_is_probability, weights)) or not sum(weights) > 0:
        return None
    return random.Random(seed).choices([one["text"] for one in listed], weights=weights)[0]


def _most_tokens(context: int | None) -> int:
    """Return the length of the longest answer: of a short context most is for the prompt."""
    return MAX_NEW_TOKENS if context is None else min(MAX_NEW_TOKENS, context // 4)


def _json(answer: str, first: str, last: str) -> Any:
    start, end = answer.find(first), answer.rfind(last)
    try:
        return strict_json(answer[start : end + 1]) if 0 <= start < end else None
    except ValueError:
        return None


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
