"""Tokenize conversations through the template, cut to whole turns, with a count of all that is lost."""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
from datasets import Dataset
from transformers import BatchEncoding, PreTrainedTokenizerBase

from spectrum_trl.prompts.messages import check
from spectrum_trl.suite.task import Message

BATCH = 64
# Header, its line break, and end of turn: no turn is shorter, so more turns than this never fit.
SHORTEST_TURN = 4


class TaskCounts(NamedTuple):
    """What became of one task.

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
    dropped: Counter[str],
) -> tuple[Dataset, TaskCounts]:
    """Tokenize conversations through the template, cut to whole turns, and count.

    Args:
        name: Of the task, for the counts.
        conversations: Checked messages.
        tokenizer: With the Spectrum template installed.
        max_length: Longest sequence in tokens, or None.
        train_on: Handed to the template: ``outputs``, ``first`` or ``last``.
        dropped: Receives sequences that keep no trained output.

    Returns:
        The rows and the counts.
    """
    rows: dict[str, list[Any]] = {"messages": [], "input_ids": [], "assistant_masks": [], "task": []}
    digest = hashlib.sha256()
    totals: Counter[str] = Counter()
    stream = iter(conversations)
    while batch := list(itertools.islice(stream, BATCH)):
        for conversation in batch:
            digest.update(json.dumps(conversation, ensure_ascii=False).encode())
        for whole, (kept, ids, mask) in zip(
            batch, _encode(batch, tokenizer=tokenizer, max_length=max_length, train_on=train_on), strict=True
        ):
            lost = _n_outputs(whole) - _n_outputs(kept)
            if not any(mask):
                dropped["cut away by max_length" if lost else "no trained output"] += 1
                continue
            totals += Counter(
                outputs=_n_outputs(kept), tokens=len(ids), trained=sum(mask), cut=int(lost > 0), lost=lost
            )
            for column, value in zip(rows, (kept, ids, mask, name), strict=True):
                rows[column].append(value)
    return Dataset.from_dict(rows), TaskCounts(
        name,
        len(rows["task"]),
        totals["outputs"],
        totals["tokens"],
        totals["trained"],
        totals["cut"],
        totals["lost"],
        dict(dropped),
        digest.hexdigest(),
    )


def usable(
    conversations: Iterable[list[Message]], *, tokenizer: PreTrainedTokenizerBase, dropped: Counter[str]
) -> Iterator[list[Message]]:
    """Pass on conversations without faults; count the others under their first fault.

    Args:
        conversations: Normalised messages.
        tokenizer: Whose control tokens must not occur in contents.
        dropped: Receives the faults, without the number of the message.
    """
    for conversation in conversations:
        faults = check(conversation, tokenizer=tokenizer)
        if faults:
            dropped[re.sub(r"^message \d+ ", "", faults[0]).split(":")[0]] += 1
        else:
            yield conversation


def _encode(
    batch: list[list[Message]], *, tokenizer: PreTrainedTokenizerBase, max_length: int | None, train_on: str
) -> Iterator[tuple[list[Message], list[int], list[int]]]:
    """Yield what is kept of each conversation, with its token ids and loss mask."""
    shorter = [_shortened(conversation, tokenizer=tokenizer, max_length=max_length) for conversation in batch]
    encoded = _apply(shorter, tokenizer=tokenizer, train_on=train_on)
    for conversation, ids, mask in zip(shorter, *encoded, strict=True):
        if max_length is None or len(ids) <= max_length:
            yield conversation, ids, mask
            continue
        ends = np.flatnonzero(np.array(ids) == tokenizer.eos_token_id)
        kept = conversation[: int((ends < max_length).sum())]
        while kept and kept[-1]["role"] != "output":
            kept = kept[:-1]
        if not kept:
            yield [], [], []
            continue
        # What a template puts behind a turn, a line break or nothing, may be the one token too many.
        behind = len(ids) - ends[-1] - 1
        length = min(ends[len(kept) - 1] + 1 + behind, max_length)
        if train_on == "last":
            # Another output is the last one now.
            (ids,), (mask,) = _apply([kept], tokenizer=tokenizer, train_on=train_on)
        yield kept, ids[:length], mask[:length]


def _shortened(
    conversation: list[Message], *, tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> list[Message]:
    """Leave out turns that never fit, so that the template is not run on them: it is the slow part."""
    if max_length is None or len(conversation) * SHORTEST_TURN <= max_length:
        return conversation
    start = conversation[: max_length // SHORTEST_TURN + 1]
    contents = tokenizer([message["content"] for message in start], add_special_tokens=False)["input_ids"]
    lengths = np.cumsum([len(ids) + SHORTEST_TURN for ids in contents])
    return start[: int(np.searchsorted(lengths, max_length, side="right")) + 1]


def _apply(
    batch: list[list[Message]], *, tokenizer: PreTrainedTokenizerBase, train_on: str
) -> tuple[list[list[int]], list[list[int]]]:
    encoded = tokenizer.apply_chat_template(
        cast(list[list[dict[str, str]]], batch),
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
        train_on=train_on,
    )
    columns = cast(BatchEncoding, encoded)
    return columns["input_ids"], columns["assistant_masks"]


def _n_outputs(conversation: list[Message]) -> int:
    return sum(message["role"] == "output" for message in conversation)
