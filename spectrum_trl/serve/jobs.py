"""Requests on their way through the model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from spectrum_trl.scoring.draw import Decoding
from spectrum_trl.scoring.generation import Ending
from spectrum_trl.suite.task import Message

Reason = Literal["stop", "length"]


class Scores(NamedTuple):
    """How likely a sampled token was under the model's full distribution.

    Attributes:
        log_probability: Of the token, in nats.
        top: Ids and log-probabilities of the likeliest tokens, the likeliest first.
    """

    log_probability: float
    top: tuple[tuple[int, float], ...]


@dataclass
class Sample:
    """A sample that grows, or that has ended.

    The worker appends to it while the server reads it: ``reason`` is set last.

    Attributes:
        ids: Its tokens, the end included.
        scores: Of each token, if they are wanted; appended before the token.
        reason: Why it has ended, or None.
    """

    ids: list[int] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    reason: Reason | None = None


@dataclass
class Job:
    """The work that a request asks of the model.

    Attributes:
        prompt: Token ids, at least one.
        seeds: One for each sample.
        max_new_tokens: Maximum number of tokens of a sample.
        decoding: How a token is sampled.
        ending: Where a sample ends.
        top: Number of likeliest tokens wanted with each token, or None if no scores are wanted.
        strips: Whether white space around a text is no part of it.
        messages: The conversation, if probabilities of answers are wanted.
        answers: These answers, or None.
        values: The values of a schema that these answers stand for, or None.
        answer_tokens: Number of their tokens.
        samples: The samples, filled by the worker.
        found: The probabilities of the answers, as JSON, set by the worker.
        error: Why the job failed.
        done: Whether nothing more will come.
        cancelled: Whether nobody waits for it any more.
        stepped: Called by the worker after each token.
        ended: Called by the worker at the end.
    """

    prompt: tuple[int, ...]
    seeds: list[tuple[int, int, int]]
    max_new_tokens: int
    decoding: Decoding
    ending: Ending
    top: int | None = None
    strips: bool = False
    messages: list[Message] = field(default_factory=list)
    answers: list[str] | None = None
    values: list[Any] | None = None
    answer_tokens: int = 0
    samples: list[Sample] = field(default_factory=list)
    found: dict[str, Any] | None = None
    error: Exception | None = None
    done: bool = False
    cancelled: bool = False
    stepped: Callable[[], None] = lambda: None
    ended: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        """Begin the samples."""
        self.samples = [Sample() for _ in self.seeds]

    @property
    def is_complete(self) -> bool:
        """Whether everything wanted is there."""
        return all(one.reason for one in self.samples) and (self.answers is None or self.found is not None)
