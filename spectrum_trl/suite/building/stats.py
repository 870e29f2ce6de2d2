"""Statistics of a task's sequences, for the Suite's card and to compare samplings."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from spectrum_trl.suite.task import Message, SampleSequence

# An estimate without a tokenizer: four bytes per token, and five tokens for the markup of a turn.
BYTES_PER_TOKEN, TOKENS_PER_TURN = 4, 5
# Distinct outputs counted exactly; beyond this, the entropy is a lower bound.
MOST_OUTPUTS = 2_000_000


class TaskStats(NamedTuple):
    """Statistics of one task.

    Attributes:
        sequences: Number of sequences.
        outputs: Number of outputs in them.
        different: Number of distinct output texts.
        entropy: Entropy of the task's output texts in nats, from 0 if all are equal to ``log(outputs)`` if
            all are distinct.
        tokens: Number of tokens in all messages, counted by the tokenizer or estimated.
    """

    sequences: int
    outputs: int
    different: int
    entropy: float
    tokens: int


def about_tokens(messages: Iterable[Message]) -> int:
    """Estimate the number of tokens in a sequence from its bytes."""
    return sum(
        math.ceil(len(message["content"].encode()) / BYTES_PER_TOKEN) + TOKENS_PER_TURN
        for message in messages
    )


def task_stats(
    sequences: Iterable[SampleSequence], *, tokens: Callable[[list[Message]], int] = about_tokens
) -> TaskStats:
    """Return the statistics of a task.

    Args:
        sequences: The sequences, iterated once.
        tokens: Counts the tokens of a sequence.
    """
    n_sequences = n_outputs = n_tokens = 0
    seen: Counter[int] = Counter()
    for sequence in sequences:
        n_sequences += 1
        n_tokens += tokens(sequence.messages)
        for message in sequence.messages:
            if message["role"] == "output":
                n_outputs += 1
                # The hash of a text identifies it well enough, and is small.
                key = hash(message["content"])
                if key in seen or len(seen) < MOST_OUTPUTS:
                    seen[key] += 1
    shares = [count / n_outputs for count in seen.values()] if n_outputs else []
    entropy = -math.fsum(share * math.log(share) for share in shares)
    return TaskStats(n_sequences, n_outputs, len(seen), max(entropy, 0.0), n_tokens)
