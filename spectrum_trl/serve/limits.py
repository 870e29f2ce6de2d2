"""Limits on the requests that a server accepts."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Upper limits on requests; what exceeds them is refused, never cut.

    Attributes:
        body: Bytes of a request.
        prompt_tokens: Tokens of a prompt, or None for what the model's context holds.
        max_tokens: Tokens of a sample.
        n: Samples of a request.
        answers: Answers of a request whose probabilities are asked for.
        answer_tokens: Tokens of these answers together.
        schema: Characters of a JSON Schema whose values are such answers.
        waiting: Requests waiting for the model.
        seconds: Time for a client to send its request.
    """

    body: int = 2**20
    prompt_tokens: int | None = None
    max_tokens: int = 4096
    n: int = 128
    answers: int = 1000
    answer_tokens: int = 2**15
    schema: int = 2**13
    waiting: int = 256
    seconds: float = 30.0
