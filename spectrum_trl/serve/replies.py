"""Answers to requests in OpenAI's form, whole or in pieces."""

import codecs
import itertools
import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from spectrum_trl.files import finite
from spectrum_trl.serve.fields import ChatRequest, Common
from spectrum_trl.serve.jobs import Job, Sample

# What a decoder writes for a character whose bytes are not complete.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
_BYTES = {letter: byte for byte, letter in bytes_to_unicode().items()}


class Head(NamedTuple):
    """The part that all pieces of an answer share.

    Attributes:
        asked: The request.
        id: The answer's name.
        created: Time in seconds.
        model: The model's name.
        tokenizer: Decodes tokens.
    """

    asked: Common
    id: str
    created: int
    model: str
    tokenizer: PreTrainedTokenizerBase

    @property
    def is_chat(self) -> bool:
        """Whether the answer is a turn of a conversation."""
        return isinstance(self.asked, ChatRequest)

    def around(self, choices: list[dict[str, Any]], *, piece: bool = False) -> dict[str, Any]:
        """Return an answer with these choices."""
        kind = f"chat.completion{'.chunk' if piece else ''}" if self.is_chat else "text_completion"
        named = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return {**named, "choices": choices, "seed": self.asked.seed}


def head_of(asked: Common, *, model: str, tokenizer: PreTrainedTokenizerBase) -> Head:
    """Return the head of a new answer."""
    kind = "chatcmpl" if isinstance(asked, ChatRequest) else "cmpl"
    return Head(asked, f"{kind}-{uuid.uuid4().hex}", int(time.time()), model, tokenizer)


def reply(head: Head, jobs: Sequence[Job]) -> dict[str, Any]:
    """Return the whole answer."""
    choices = []
    for index, (job, sample) in enumerate(_samples(jobs)):
        text = text_of(job, sample)
        part: dict[str, Any] = {"text": text}
        if head.is_chat:
            part = {"message": {"role": "assistant", "content": text, "refusal": None}}
        scores = _logprobs(head, job, sample, 0) if job.top is not None else None
        choices.append({"index": index, **part, "logprobs": scores, "finish_reason": sample.reason})
    extension = {k: v for job in jobs for k, v in _found(job).items()}
    return finite({**head.around(choices), "usage": usage(jobs), **extension})


def _found(job: Job) -> dict[str, Any]:
    """Return the probabilities of answers; those of a schema have values instead of texts."""
    if job.found is None or job.values is None:
        return job.found or {}
    answers = zip(job.values, job.found["answers"], strict=True)
    named = [{"value": value} | {k: v for k, v in one.items() if k != "answer"} for value, one in answers]
    return job.found | {"answers": named}


def usage(jobs: Sequence[Job]) -> dict[str, int]:
    """Return the number of tokens read and written."""
    read = sum(len(job.prompt) for job in jobs)
    written = sum(len(sample.ids) for _, sample in _samples(jobs))
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


class Pieces:
    """The answer in pieces: each call of `next` returns what is new."""

    def __init__(self, head: Head, jobs: Sequence[Job]) -> None:
        """Begin before the first token."""
        self.head, self.samples = head, _samples(jobs)
        self._sent = [""] * len(self.samples)
        self._tokens = [0] * len(self.samples)
        self._ended = [False] * len(self.samples)

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the pieces that name the role of each message."""
        if self.head.is_chat:
            for index in range(len(self.samples)):
                yield self._piece(index, {"delta": {"role": "assistant", "content": ""}})

    def next(self) -> Iterator[dict[str, Any]]:
        """Yield what is new since the last call."""
        for index, (job, sample) in enumerate(self.samples):
            if self._ended[index]:
                continue
            # Read before the tokens, which are complete once it is set.
            reason = sample.reason
            new = text_of(job, sample, whole=reason is not None)[len(self._sent[index]) :]
            first, self._tokens[index] = self._tokens[index], len(sample.ids)
            scores = None
            if job.top is not None and first < self._tokens[index]:
                scores = _logprobs(self.head, job, sample, first, self._tokens[index])
            if new or scores:
                self._sent[index] += new
                part: dict[str, Any] = {"delta": {"content": new}} if self.head.is_chat else {"text": new}
                yield self._piece(index, part, scores)
            if reason:
                self._ended[index] = True
                part = {"delta": {}} if self.head.is_chat else {"text": ""}
                yield self._piece(index, part, None, reason)

    def _piece(
        self, index: int, part: dict[str, Any], scores: Any = None, reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, **part, "logprobs": scores, "finish_reason": reason}
        return finite(self.head.around([choice], piece=True))


def event(content: dict[str, Any]) -> str:
    """Return an event of a stream."""
    return f"data: {json.dumps(content, allow_nan=False)}\n\n"


def text_of(job: Job, sample: Sample, *, whole: bool = True) -> str:
    """Return a sample's text.

    Args:
        job: The sample's job.
        sample: The sample.
        whole: Whether the sample has ended; otherwise, only the part that later tokens cannot change.
    """
    text = job.ending.cut(sample.ids) if sample.ids else ""
    if job.strips:
        text = text.strip() if whole else text.lstrip()
    if whole:
        return text
    held = max((_overlap(text, stop) for stop in job.ending.stops), default=0)
    text = text[: len(text) - held].rstrip(INCOMPLETE)
    return text.rstrip() if job.strips else text


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text may be the beginning of a stop."""
    return next((n for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n])), 0)


def _samples(jobs: Sequence[Job]) -> list[tuple[Job, Sample]]:
    return [(job, sample) for job in jobs for sample in job.samples]


def _logprobs(head: Head, job: Job, sample: Sample, first: int, last: int | None = None) -> dict[str, Any]:
    """Return the scores of tokens in the form of the request; the end of a turn is a token, too."""
    ids, scores = sample.ids[first:last], sample.scores[first:last]
    if head.is_chat:
        content = [
            {
                **_token(head, token, one.log_probability),
                "top_logprobs": [_token(head, other, p) for other, p in one.top],
            }
            for token, one in zip(ids, scores, strict=True)
        ]
        return {"content": content, "refusal": None}
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    lengths = (len(decoder.decode(_bytes(head, token))) for token in sample.ids[:last])
    offsets = list(itertools.accumulate(lengths, initial=0))
    return {
        "tokens": [_name(head, token) for token in ids],
        "token_logprobs": [one.log_probability for one in scores],
        "top_logprobs": [{_name(head, token): p for token, p in one.top} for one in scores],
        "text_offset": offsets[first:-1],
    }


def _token(head: Head, token: int, log_probability: float) -> dict[str, Any]:
    written = _bytes(head, token)
    return {
        "token": written.decode("utf-8", "replace"),
        "logprob": log_probability,
        "bytes": list(written),
    }


def _name(head: Head, token: int) -> str:
    """Return a token's text; a part of a character is named by its bytes, as OpenAI does."""
    try:
        return _bytes(head, token).decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(rf"\x{one:02x}" for one in _bytes(head, token))


def _bytes(head: Head, token: int) -> bytes:
    """Return the bytes that a token stands for, which may be a part of a character."""
    text = str(head.tokenizer.decode([token], clean_up_tokenization_spaces=False))
    if INCOMPLETE not in text:
        return text.encode()
    # Tokenizers write a byte as <0xF0>, or every byte as a character of its own.
    name = str(head.tokenizer.convert_ids_to_tokens(token))
    if re.fullmatch("<0x[0-9A-F]{2}>", name):
        return bytes([int(name[3:-1], 16)])
    return bytes(_BYTES.get(letter, 0xFF) for letter in name)
