"""Ask an instruct model for several answers with their probabilities, the usual training-free baseline.

Source: Verbalized Sampling (arXiv 2510.01171); the wording is our own.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.strict.json import last_json
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
_LABELLED = re.compile(r"\(?(\w{1,3})[.):]\s*(.*)", re.DOTALL)
Request = tuple[str, tuple[Any, ...]]


def ask_for_shares(row: dict[str, Any], *, prompts: Prompts, context: int | None) -> Request:
    """Return the request for the probabilities of all candidates of a row, answered greedily.

    ``context`` is the model's context in tokens, or None.
    """
    question = row["input"] + SHARES.format(", ".join(row["candidates"]))
    messages: list[Message] = [{"role": "input", "content": question}]
    if row["description"]:
        messages.insert(0, {"role": "description", "content": row["description"]})
    settings = {"until": [prompts.end], "do_sample": False, "max_gen_toks": _most_tokens(context)}
    return "generate_until", (prompts.prompt(messages), settings)


def read_shares(answer: str, *, candidates: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the probabilities in an answer, shape (candidates,); None if it does not parse.

    Other keys than the candidates count only for the sum that distinguishes percentages from shares; a
    candidate that is not named has probability 0. ``A. Yes`` names ``A`` or ``Yes``, unless both are
    candidates.
    """
    found = _json(answer, "{")
    if not isinstance(found, dict):
        return None
    shares, seen = np.zeros(len(candidates)), set()
    total = 0.0
    for key, written in found.items():
        value, number = _probability(written), named(key, candidates)
        if number is not None:
            if value is None or number in seen:
                return None
            seen.add(number)
            shares[number] = value
        total += value or 0.0
    return shares / max(1.0, total) if shares.any() else None


def named(key: str, candidates: Sequence[str]) -> int | None:
    """Return the position of the one candidate that a text names, see `read_shares`, or None."""
    key = key.strip()
    labelled = _LABELLED.fullmatch(key)
    folded = {part.casefold() for part in (labelled.groups() if labelled else ())}
    for names in ({key}, {key.casefold()}, folded):
        found = [n for n, one in enumerate(candidates) if {one.strip(), one.strip().casefold()} & names]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def ask_for_answers(
    messages: Sequence[Message], *, prompts: Prompts, settings: dict[str, Any], context: int | None
) -> Request:
    """Return the request for several outputs with their probabilities, after a description and examples.

    ``context`` is the model's context in tokens, or None.
    """
    asked: Message = {"role": "input", "content": ANSWERS.format(n=N_ANSWERS)}
    settings = {**settings, "until": [prompts.end], "max_gen_toks": _most_tokens(context)}
    return "generate_until", (prompts.prompt([*messages, asked]), settings)


def draw_answer(answer: str, *, rng: np.random.Generator) -> str | None:
    """Draw one of the outputs that an answer lists, by their probabilities; None if it does not parse."""
    found = _json(answer, "[")
    if not isinstance(found, list):
        return None
    listed = [one for one in found if isinstance(one, dict) and isinstance(one.get("text"), str)]
    weights = [_probability(one.get("probability")) for one in listed]
    if None in weights or not any(weights):
        return None
    shares = np.array(weights, dtype=np.float64)
    return str(listed[rng.choice(len(listed), p=shares / shares.sum())]["text"])


def _most_tokens(context: int | None) -> int:
    """Return the maximum length of an answer: most of a short context is for the prompt."""
    return MAX_NEW_TOKENS if context is None else min(MAX_NEW_TOKENS, context // 4)


def _json(answer: str, first: str) -> Any:
    """Return the last JSON value of an answer, without the model's reasoning before it."""
    return last_json(answer.rpartition("</think>")[2].partition("<think>")[0], first=first)


def _probability(value: Any) -> float | None:
    """Return a number from 0 to 100, or a string such as ``"30%"`` as a share; None for anything else."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            share = float(value.strip()[:-1]) / 100
        except ValueError:
            return None
        return share if 0 <= share <= 1 else None
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
    return float(value) if number else None
