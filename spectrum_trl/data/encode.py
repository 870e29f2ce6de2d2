"""Tokenize conversations with the template, truncated to whole turns, and count everything lost."""

import hashlib
import itertools
import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import BatchEncoding, PreTrainedTokenizerBase

from spectrum_trl.prompts.messages import check, normalise
from spectrum_trl.prompts.rendering import Outlines
from spectrum_trl.prompts.templates import shortest_turn
from spectrum_trl.suite.task import Message

BATCH = 256
# Turns tokenized together for counting.
PART = 64
# More than most texts have; a text with even more is tokenized again as a whole.
CHARACTERS_PER_TOKEN = 6


class Encoded(NamedTuple):
    """The part of a conversation that is kept.

    Attributes:
        messages: Whole turns, ending with an output; empty if not even one output fits.
        ids: Token ids.
        mask: 1 where a token carries loss, else 0.
    """

    messages: list[Message]
    ids: list[int]
    mask: list[int]


class Encoder:
    """Tokenizes batches of conversations, each truncated to whole turns."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None,
        train_on: str = "outputs",
        template: str | None = None,
    ) -> None:
        """Set up the encoder.

        Args:
            tokenizer: With the Spectrum template installed.
            max_length: Maximum sequence length in tokens, or None for no limit.
            train_on: Passed to the template: ``outputs``, ``first`` or ``last``.
            template: One of our templates to use instead of the installed one.
        """
        self.tokenizer, self.max_length, self.train_on = tokenizer, max_length, train_on
        self.template = template
        self.outlines = Outlines(tokenizer, template=template, train_on=train_on)
        # No more turns than this can fit; the extra one shows that a sequence is too long.
        known = None if template is not None else max_length
        self.most_turns = None if known is None else known // shortest_turn(tokenizer) + 1

    def encode(self, batch: list[list[Message]]) -> Iterator[Encoded]:
        """Yield the kept part of each conversation, with its token ids and loss mask."""
        shorter = [self._shorter(conversation) for conversation in batch]
        for whole, short, found in zip(batch, shorter, self._fitting(shorter), strict=True):
            if len(found.messages) == len(short) < min(len(whole), self.most_turns or len(whole)):
                # Its tokens are longer than expected, so more of it may fit.
                found = next(self._fitting([whole[: self.most_turns]]))
            yield found

    def _fitting(self, conversations: list[list[Message]]) -> Iterator[Encoded]:
        texts = [self.outlines.fill(conversation) for conversation in conversations]
        encoded = self._tokenize([filled.text for filled in texts])
        for row, (conversation, filled) in enumerate(zip(conversations, texts, strict=True)):
            ids = encoded["input_ids"][row]
            mask = _loss_mask(encoded, row, filled.trained)
            if self.max_length is None or len(ids) <= self.max_length:
                yield Encoded(conversation, ids, mask)
                continue
            ends = [encoded.char_to_token(row, end) for end in filled.ends]
            kept = conversation[: bisect_left(ends, self.max_length)]
            while kept and kept[-1]["role"] != "output":
                kept = kept[:-1]
            if not kept:
                yield Encoded([], [], [])
                continue
            # A line break that the template writes after a turn may exceed the limit by one token.
            behind = len(ids) - ends[-1] - 1
            length = min(ends[len(kept) - 1] + 1 + behind, self.max_length)
            if self.train_on == "last":
                # After truncation, another output is the last.
                again = Encoder(self.tokenizer, max_length=None, train_on="last", template=self.template)
                ((_, ids, mask),) = again.encode([kept])
            yield Encoded(kept, ids[:length], mask[:length])

    def length(self, turns: list[Message]) -> int:
        """Return the number of tokens in turns, including what a template writes once per sequence."""
        # In parts of equal size, because their outlines are cached after the first.
        parts = (turns[start : start + PART] for start in range(0, len(turns), PART))
        texts = [self.outlines.fill(part).text for part in parts]
        return sum(map(len, self._tokenize(texts)["input_ids"])) if texts else 0

    def _shorter(self, conversation: list[Message]) -> list[Message]:
        """Return enough turns to likely exceed the limit, so the rest need not be tokenized."""
        if self.most_turns is None or self.max_length is None:
            return conversation
        sizes = accumulate(len(message["content"]) for message in conversation[: self.most_turns])
        most = CHARACTERS_PER_TOKEN * self.max_length
        n = next((n for n, size in enumerate(sizes, 1) if size > most), len(conversation))
        return conversation[: min(n, self.most_turns)]

    def _tokenize(self, texts: list[str]) -> BatchEncoding:
        return self.tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
        )


def _loss_mask(encoded: BatchEncoding, row: int, trained: Iterable[tuple[int, int]]) -> list[int]:
    """Return 1 for each token in the trained spans of a text (character offsets, end excluded), else 0."""
    mask = [0] * len(encoded["input_ids"][row])
    for start, end in trained:
        # A normalizing tokenizer may have no token for some character; a turn's end always has one.
        tokens = (encoded.char_to_token(row, position) for position in range(start, end))
        first = next(token for token in tokens if token is not None)
        last = encoded.char_to_token(row, end - 1)
        mask[first : last + 1] = [1] * (last + 1 - first)
    return mask


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
