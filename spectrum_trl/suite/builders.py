"""The shapes that most tasks share: one individual, pooled rows, i.i.d. draws, one question."""

import random
from collections.abc import Iterable, Iterator, Sequence

from spectrum_trl.suite.sequence import Message


def description(content: str) -> Message:
    """Return a description turn."""
    return {"role": "description", "content": content}


def pair(given: str, answer: str) -> list[Message]:
    """Return an input turn and its output turn."""
    return [{"role": "input", "content": given}, {"role": "output", "content": answer}]


def iid(outputs: Iterable[str], *, described: str) -> list[Message]:
    """Build a sequence of samples without inputs.

    Args:
        outputs: The samples, in the order drawn.
        described: What is being sampled.

    Returns:
        One description and one output turn per sample.
    """
    return [description(described), *({"role": "output", "content": text} for text in outputs)]
