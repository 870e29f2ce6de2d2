"""Turn a conversation into token ids and a loss mask, truncated to whole turns."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from transformers import BatchEncoding, PreTrainedTokenizerBase

from spectrum_trl.prompts.rendering import Outlines
from spectrum_trl.prompts.templates import shortest_turn
from spectrum_trl.suite.task import Message

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
