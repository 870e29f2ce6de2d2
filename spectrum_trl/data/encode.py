"""Tokenize conversations with the template, truncated to whole turns, and count everything lost."""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.encoder import Encoded, Encoder
from spectrum_trl.prompts.messages import check, normalise
from spectrum_trl.suite.task import Message

BATCH = 256


@dataclass
class TaskCounts:
    """Counts for one task.

    Attributes:
        task: Its name.
        sequences: Number of training sequences.
        outputs: Output turns in them.
        tokens: Tokens in them.
        trained_tokens: Tokens that carry loss.
        cut_sequences: Sequences truncated to the maximum length.
        cut_outputs: Output turns lost to truncation.
        cut_tokens: Tokens lost to truncation, in all turns.
        repeated_tokens: Tokens of turns repeated from an earlier sequence.
        dropped: Number of rows or sequences left out, by reason.
        sha256: Hash of the messages, before tokenization.
    """

    task: str
    sequences: int = 0
    outputs: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    cut_sequences: int = 0
    cut_outputs: int = 0
    cut_tokens: int = 0
    repeated_tokens: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    sha256: str = ""


def encode(
    name: str,
    conversations: Iterable[list[Message]],
    encoder: Encoder,
    *,
    split_long: bool = False,
    dropped: Counter[str],
) -> tuple[Dataset, TaskCounts]:
    """Tokenize conversations with the template, truncated to whole turns, and count.

    Args:
        name: Name of the task, for the counts.
        conversations: Checked messages.
        encoder: Tokenizes and truncates them.
        split_long: Whether turns that do not fit begin another sequence with the same description instead of
            being lost.
        dropped: Receives sequences that keep no trained output.

    Returns:
        The rows and the counts.
    """
    rows = _Rows(name, dropped)
    digest = hashlib.sha256()
    stream = iter(conversations)
    while batch := list(itertools.islice(stream, BATCH)):
        for conversation in batch:
            digest.update(json.dumps(conversation, ensure_ascii=False).encode())
        if not split_long:
            for whole, part in zip(batch, encoder.encode(batch), strict=True):
                _cut(whole, part, rows, encoder)
            continue
        left = [_Rest(conversation, 0) for conversation in batch]
        while left:
            parts = encoder.encode([rest.turns for rest in left])
            further = (_split(rest, part, rows, encoder) for rest, part in zip(left, parts, strict=True))
            left = [rest for rest in further if rest]
    rows.counts.dropped, rows.counts.sha256 = dict(dropped), digest.hexdigest()
    return Dataset.from_dict(rows.columns), rows.counts


class _Rows:
    """Collects kept sequences, and counts them and what is lost."""

    def __init__(self, name: str, dropped: Counter[str]) -> None:
        self.counts, self.dropped = TaskCounts(name), dropped
        names = ("messages", "input_ids", "assistant_masks", "task")
        self.columns: dict[str, list[Any]] = {name: [] for name in names}

    def keep(self, messages: list[Message], ids: list[int], mask: list[int]) -> bool:
        """Add a sequence if any of its tokens carries loss, and return whether it was added."""
        if any(mask):
            for column, value in zip(self.columns, (messages, ids, mask, self.counts.task), strict=True):
                self.columns[column].append(value)
            self.counts.sequences += 1
            self.counts.outputs += _n_outputs(messages)
            self.counts.tokens += len(ids)
            self.counts.trained_tokens += sum(mask)
        return any(mask)

    def lose(self, turns: list[Message], *, tokens: int) -> None:
        """Count turns lost to truncation."""
        self.counts.cut_outputs += _n_outputs(turns)
        self.counts.cut_tokens += tokens


def _cut(whole: list[Message], part: Encoded, rows: _Rows, encoder: Encoder) -> None:
    """Keep the turns that fit, and count the rest as lost."""
    rest = whole[len(part.messages) :]
    if not rows.keep(*part):
        rows.dropped["cut away by max_length" if _n_outputs(rest) else "no trained output"] += 1
        rows.counts.cut_tokens += encoder.length(rest)
    elif _n_outputs(rest):
        rows.counts.cut_sequences += 1
        rows.lose(rest, tokens=encoder.length(rest))


class _Rest(NamedTuple):
    """Turns for a further sequence.

    Attributes:
        turns: Repeated ones first: the description, or without one the last answer, because the first answer
            of a sequence without a description is not trained.
        repeated: Number of turns repeated from an earlier sequence.
    """

    turns: list[Message]
    repeated: int


def _split(rest: _Rest, part: Encoded, rows: _Rows, encoder: Encoder) -> _Rest | None:
    """Keep the turns that fit; return the turns of a further sequence, or None if none is needed."""
    turns, repeated = rest
    described = turns[:1] if turns[0]["role"] == "description" else []
    kept = len(part.messages)
    if kept <= max(repeated, len(described)):
        if described and encoder.length(described) >= (encoder.max_length or 0):
            rows.dropped["description longer than max_length"] += 1
            rows.counts.cut_tokens += encoder.length(turns)
            return None
        if repeated > len(described):
            # The next answer does not fit after a repeated one: begin a new sequence with it.
            return _Rest(turns[repeated:], 0)
        # Not even the first answer fits: drop only that one.
        kept = next((n for n, turn in enumerate(turns, 1) if turn["role"] == "output"), len(turns))
        rows.counts.cut_sequences += 1
        rows.lose(turns[len(described) : kept], tokens=encoder.length(turns[len(described) : kept]))
        return _further(described, turns[kept:])
    further = turns[kept:]
    if rows.keep(*part):
        rows.counts.repeated_tokens += encoder.length(turns[:repeated])
    elif described or not _n_outputs(further):
        rows.dropped["no trained output"] += 1
        rows.counts.cut_tokens += len(part.ids)
    return _further(described or _last_answer(part.messages), further)


def _further(again: list[Message], turns: list[Message]) -> _Rest | None:
    return _Rest([*again, *turns], len(again)) if _n_outputs(turns) else None


def _last_answer(turns: list[Message]) -> list[Message]:
    """Return the last output and the inputs it answers."""
    start = len(turns) - 1
    while start > 0 and turns[start - 1]["role"] == "input":
        start -= 1
    return turns[start:]


def usable(
    conversations: Iterable[list[Message]], *, tokenizer: PreTrainedTokenizerBase, dropped: Counter[str]
) -> Iterator[list[Message]]:
    """Yield conversations without problems; count the others under their first problem.

    Args:
        conversations: Messages; spaces that the tokenizer would merge with a header are removed.
        tokenizer: Its control tokens must not occur in contents.
        dropped: Receives the problems, without message numbers.
    """
    for conversation in conversations:
        conversation = normalise(conversation, tokenizer=tokenizer)
        problems = check(conversation, tokenizer=tokenizer)
        if problems:
            dropped[re.sub(r"^message \d+ ", "", problems[0]).split(":")[0]] += 1
        else:
            yield conversation


def _n_outputs(conversation: list[Message]) -> int:
    return sum(message["role"] == "output" for message in conversation)
