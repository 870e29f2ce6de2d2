"""Tokenize conversations through the template, cut to whole turns, with a count of all that is lost."""

import hashlib
import itertools
import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import BatchEncoding, PreTrainedTokenizerBase

from spectrum_trl.prompts.messages import check
from spectrum_trl.prompts.outlines import Outlines
from spectrum_trl.prompts.templates import shortest_turn
from spectrum_trl.suite.task import Message

BATCH = 256


class TaskCounts(NamedTuple):
    """Counts for one task.

    Attributes:
        task: Its name.
        sequences: Sequences trained on.
        outputs: Output turns in them.
        tokens: Tokens in them.
        trained_tokens: Tokens that carry loss.
        cut_sequences: Sequences shortened to the maximum length.
        cut_outputs: Output turns lost to that.
        dropped: Reason to number of rows or sequences left out.
        sha256: Hash of the messages, before tokenization.
    """

    task: str
    sequences: int
    outputs: int
    tokens: int
    trained_tokens: int
    cut_sequences: int
    cut_outputs: int
    dropped: dict[str, int]
    sha256: str


def encode(
    name: str,
    conversations: Iterable[list[Message]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
    train_on: str = "outputs",
    template: str | None = None,
    dropped: Counter[str],
) -> tuple[Dataset, TaskCounts]:
    """Tokenize conversations through the template, cut to whole turns, and count.

    Args:
        name: Of the task, for the counts.
        conversations: Checked messages.
        tokenizer: With the Spectrum template installed.
        max_length: Longest sequence in tokens, or None.
        train_on: Handed to the template: ``outputs``, ``first`` or ``last``.
        template: Another template of ours than the installed one.
        dropped: Receives sequences that keep no trained output.

    Returns:
        The rows and the counts.
    """
    rows: dict[str, list[Any]] = {"messages": [], "input_ids": [], "assistant_masks": [], "task": []}
    encoder = Encoder(tokenizer, max_length=max_length, train_on=train_on, template=template)
    digest = hashlib.sha256()
    cut_sequences = cut_outputs = 0
    stream = iter(conversations)
    while batch := list(itertools.islice(stream, BATCH)):
        for conversation in batch:
            digest.update(json.dumps(conversation, ensure_ascii=False).encode())
        for whole, (kept, ids, mask) in zip(batch, encoder.encode(batch), strict=True):
            lost = _n_outputs(whole) - _n_outputs(kept)
            if not any(mask):
                dropped["cut away by max_length" if lost else "no trained output"] += 1
                continue
            cut_sequences += lost > 0
            cut_outputs += lost
            for column, value in zip(rows, (kept, ids, mask, name), strict=True):
                rows[column].append(value)
    return Dataset.from_dict(rows), TaskCounts(
        task=name,
        sequences=len(rows["task"]),
        outputs=sum(map(_n_outputs, rows["messages"])),
        tokens=sum(map(len, rows["input_ids"])),
        trained_tokens=sum(map(sum, rows["assistant_masks"])),
        cut_sequences=cut_sequences,
        cut_outputs=cut_outputs,
        dropped=dict(dropped),
        sha256=digest.hexdigest(),
    )


def usable(
    conversations: Iterable[list[Message]], *, tokenizer: PreTrainedTokenizerBase, dropped: Counter[str]
) -> Iterator[list[Message]]:
    """Pass on conversations without problems; count the others under their first problem.

    Args:
        conversations: Normalised messages.
        tokenizer: Whose control tokens must not occur in contents.
        dropped: Receives the problems, without the number of the message.
    """
    for conversation in conversations:
        problems = check(conversation, tokenizer=tokenizer)
        if problems:
            dropped[re.sub(r"^message \d+ ", "", problems[0]).split(":")[0]] += 1
        else:
            yield conversation


class Encoder:
    """Tokenizes batches of conversations, each cut to whole turns."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None,
        train_on: str,
        template: str | None = None,
    ) -> None:
        """Prepare.

        Args:
            tokenizer: With the Spectrum template installed.
            max_length: Longest sequence in tokens, or None.
            train_on: Handed to the template.
            template: Another template of ours than the installed one.
        """
        self.tokenizer, self.max_length, self.train_on = tokenizer, max_length, train_on
        self.template = template
        self.outlines = Outlines(tokenizer, template=template, train_on=train_on)
        # More turns than this never fit, and one more shows that a sequence is too long.
        self.most_turns: int | None = None
        if max_length is not None and template is None:
            self.most_turns = max_length // shortest_turn(tokenizer) + 1

    def encode(self, batch: list[list[Message]]) -> Iterator[tuple[list[Message], list[int], list[int]]]:
        """Yield what is kept of each conversation, with its token ids and loss mask."""
        shorter = [conversation[: self.most_turns] for conversation in batch]
        texts = [self.outlines.fill(conversation) for conversation in shorter]
        encoded = self._tokenize([filled.text for filled in texts])
        for row, (conversation, filled) in enumerate(zip(shorter, texts, strict=True)):
            ids = encoded["input_ids"][row]
            mask = _loss_mask(encoded, row, filled.trained)
            if self.max_length is None or len(ids) <= self.max_length:
                yield conversation, ids, mask
                continue
            ends = [encoded.char_to_token(row, end) for end in filled.ends]
            kept = conversation[: bisect_left(ends, self.max_length)]
            while kept and kept[-1]["role"] != "output":
                kept = kept[:-1]
            if not kept:
                yield [], [], []
                continue
            # What a template puts behind a turn, a line break or nothing, may exceed the limit by one token.
            behind = len(ids) - ends[-1] - 1
            length = min(ends[len(kept) - 1] + 1 + behind, self.max_length)
            if self.train_on == "last":
                # Another output is the last one now.
                again = Encoder(self.tokenizer, max_length=None, train_on="last", template=self.template)
                ((_, ids, mask),) = again.encode([kept])
            yield kept, ids[:length], mask[:length]

    def _tokenize(self, texts: list[str]) -> BatchEncoding:
        return self.tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
        )


def _loss_mask(encoded: BatchEncoding, row: int, trained: Iterable[tuple[int, int]]) -> list[int]:
    """Return 1 for each token of the trained parts of a text, given by their first character and end."""
    mask = [0] * len(encoded["input_ids"][row])
    for start, end in trained:
        # A tokenizer that normalises may have no token for a single character; a turn's end always has one.
        tokens = (encoded.char_to_token(row, position) for position in range(start, end))
        first = next(token for token in tokens if token is not None)
        last = encoded.char_to_token(row, end - 1)
        mask[first : last + 1] = [1] * (last + 1 - first)
    return mask


def _n_outputs(conversation: list[Message]) -> int:
    return sum(message["role"] == "output" for message in conversation)
