"""What a task's sequences hold, in numbers: for the Suite's card, and to compare samplings."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from spectrum_trl.suite.task import Message, SampleSequence

# A yardstick without a tokenizer: tokens of four bytes, and five for what is written around a turn.
BYTES_PER_TOKEN, TOKENS_PER_TURN = 4, 5
# Different outputs whose numbers are kept exactly; beyond it the entropy is a lower bound.
MOST_OUTPUTS = 2_000_000


class TaskStats(NamedTuple):
    """Numbers of one task.

    Attributes:
        sequences: Their number.
        outputs: Samples in them.
        different: Different output texts.
        entropy: Of the output texts of the whole task, in nats: 0 where all are the same, its largest value
            ``log(outputs)`` where all are different.
        tokens: In all messages, as the tokenizer counts or about.
    """

    sequences: int
    outputs: int
    different: int
    entropy: float
    tokens: int


def about_tokens(messages: Iterable[Message]) -> int:
    """Return about how many tokens a sequence has, by its bytes."""
    return sum(
        math.ceil(len(message["content"].encode()) / BYTES_PER_TOKEN) + TOKENS_PER_TURN
        for message in messages
    )


def task_stats(
    sequences: Iterable[SampleSequence], *, tokens: Callable[[list[Message]], int] = about_tokens
) -> TaskStats:
    """Return the numbers of a task.

    Args:
        sequences: Read once.
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
                # The hash of a text is as good as the text here, and small.
                key = hash(message["content"])
                if key in seen or len(seen) < MOST_OUTPUTS:
                    seen[key] += 1
    shares = [count / n_outputs for count in seen.values()] if n_outputs else []
    entropy = -math.fsum(share * math.log(share) for share in shares)
    return TaskStats(n_sequences, n_outputs, len(seen), max(entropy, 0.0), n_tokens)
