"""Tokenize conversations through the template, cut to whole turns, with a count of all that is lost."""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from spectrum_trl.data.encoder import Encoded, Encoder
from spectrum_trl.prompts.messages import check
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
        cut_tokens: Tokens lost to that, in all turns.
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
    cut_tokens: int
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
    split_long: bool = False,
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
        split_long: Whether the turns that do not fit begin a further sequence, under the same description,
            instead of being lost.
        dropped: Receives sequences that keep no trained output.

    Returns:
        The rows and the counts.
    """
    encoder = Encoder(tokenizer, max_length=max_length, train_on=train_on, template=template)
    rows = _Rows(name, dropped)
    digest = hashlib.sha256()
    stream = iter(conversations)
    while batch := list(itertools.islice(stream, BATCH)):
        for conversation in batch:
            digest.update(json.dumps(conversation, ensure_ascii=False).encode())
        while batch:
            parts = zip(batch, encoder.encode(batch), strict=True)
            if split_long:
                batch = [rest for whole, part in parts if (rest := _split(whole, part, rows, encoder))]
            else:
                for whole, part in parts:
                    _cut(whole, part, rows, encoder)
                batch = []
    return rows.dataset(), rows.counts(sha256=digest.hexdigest())


class _Rows:
    """Collects what is kept, and counts what is lost."""

    def __init__(self, name: str, dropped: Counter[str]) -> None:
        self.name, self.dropped = name, dropped
        self.columns: dict[str, list[Any]] = {
            "messages": [],
            "input_ids": [],
            "assistant_masks": [],
            "task": [],
        }
        self.cut_sequences = self.cut_outputs = self.cut_tokens = 0

    def keep(self, messages: list[Message], ids: list[int], mask: list[int]) -> bool:
        """Take a sequence if something of it is trained."""
        if any(mask):
            for column, value in zip(self.columns, (messages, ids, mask, self.name), strict=True):
                self.columns[column].append(value)
        return any(mask)

    def lose(self, turns: list[Message], *, tokens: int) -> None:
        """Count turns that are cut away."""
        self.cut_outputs += _n_outputs(turns)
        self.cut_tokens += tokens

    def dataset(self) -> Dataset:
        """Return what was kept."""
        return Dataset.from_dict(self.columns)

    def counts(self, *, sha256: str) -> TaskCounts:
        """Return the counts."""
        return TaskCounts(
            task=self.name,
            sequences=len(self.columns["task"]),
            outputs=sum(map(_n_outputs, self.columns["messages"])),
            tokens=sum(map(len, self.columns["input_ids"])),
            trained_tokens=sum(map(sum, self.columns["assistant_masks"])),
            cut_sequences=self.cut_sequences,
            cut_outputs=self.cut_outputs,
            cut_tokens=self.cut_tokens,
            dropped=dict(self.dropped),
            sha256=sha256,
        )


def _cut(whole: list[Message], part: Encoded, rows: _Rows, encoder: Encoder) -> None:
    """Keep the turns that fit, and lose the others."""
    rest = whole[len(part.messages) :]
    if not rows.keep(*part):
        rows.dropped["cut away by max_length" if _n_outputs(rest) else "no trained output"] += 1
        rows.cut_tokens += encoder.length(rest)
    elif _n_outputs(rest):
        rows.cut_sequences += 1
        rows.lose(rest, tokens=encoder.length(rest))


def _split(whole: list[Message], part: Encoded, rows: _Rows, encoder: Encoder) -> list[Message]:
    """Keep the turns that fit; return what begins a further sequence, nothing where all is done."""
    described = whole[:1] if whole[0]["role"] == "description" else []
    kept = len(part.messages)
    if not kept and _n_outputs(whole):
        if described and encoder.length(described) >= (encoder.max_length or 0):
            rows.dropped["description longer than max_length"] += 1
            rows.cut_tokens += encoder.length(whole)
            return []
        # Not even the first output fits: it alone is lost.
        kept = next(n for n, message in enumerate(whole, 1) if message["role"] == "output")
        rows.cut_sequences += 1
        rows.lose(whole[len(described) : kept], tokens=encoder.length(whole[len(described) : kept]))
    elif not rows.keep(*part):
        rows.dropped["no trained output"] += 1
    rest = whole[kept:]
    return [*described, *rest] if _n_outputs(rest) else []


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


def _n_outputs(conversation: list[Message]) -> int:
    return sum(message["role"] == "output" for message in conversation)
