"""Probabilities of given answers, and scores of outputs."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from spectrum_trl.ask.questions import as_text
from spectrum_trl.ask.results import Probabilities, Score
from spectrum_trl.errors import UserError
from spectrum_trl.prompts.messages import check, normalise
from spectrum_trl.prompts.scored import Prompts, Scored
from spectrum_trl.scoring.engine import text_logprobs
from spectrum_trl.scoring.forward import Prefix
from spectrum_trl.suite.task import Message


def probabilities(
    model: PreTrainedModel,
    prompts: Prompts,
    conversations: Sequence[Sequence[Message]],
    answers: Sequence[Sequence[str]],
    *,
    prefix: Prefix | None = None,
    between: Callable[[], object] = lambda: None,
) -> list[Probabilities]:
    """Return the probabilities of answers to questions; what they share is read once.

    Args:
        model: Any causal language model.
        prompts: Writes the questions.
        conversations: Messages of each question.
        answers: For each question, its distinct answers.
        prefix: The beginning of all questions, if it has been read.
        between: See `engine.text_logprobs`.
    """
    pairs = [
        Scored(context, prompts.answer(answer))
        for messages, given in zip(conversations, answers, strict=True)
        for context in [prompts.prompt(messages)]
        for answer in given
    ]
    found = iter(_logprobs(model, prompts, pairs, prefix=prefix, between=between).tolist())
    return [Probabilities(tuple(given), tuple(next(found) for _ in given)) for given in answers]


def checked_answers(answers: Sequence[object], prompts: Prompts) -> list[str]:
    """Return answers as texts that the model can give.

    Args:
        answers: Texts; anything else is written as JSON.
        prompts: Writes them.

    Raises:
        UserError: With every problem: no answers, equal ones, or ones that no output can be.
    """
    if isinstance(answers, str) or not isinstance(answers, Sequence) or not len(answers):
        raise UserError(f"answers: expected a list of at least one answer, but it is {answers!r:.80}")
    problems, seen = list[str](), dict[str, int]()
    texts = [as_text(answer) for answer in answers]
    for number, text in enumerate(texts, start=1):
        # The description stands for whatever comes before the answer.
        turns: list[Message] = [
            {"role": "description", "content": "?"},
            {"role": "output", "content": text},
        ]
        found = check(turns, tokenizer=prompts.tokenizer, trained=False)
        problems += [f"answer {number} {problem.removeprefix('message 2 ')}" for problem in found]
        if ends_early(text, prompts):
            problems.append(f"answer {number} holds {prompts.end!r}, which ends an output in plain text")
        (_, turn) = normalise(turns, tokenizer=prompts.tokenizer)
        first = seen.setdefault(prompts.answer(turn["content"]), number)
        if first != number:
            problems.append(f"answers {first} and {number} are the same, {text!r:.80}: remove one")
    if problems:
        raise UserError(*problems)
    return texts


def ends_early(output: str, prompts: Prompts) -> bool:
    """Return whether an output holds the text that ends it, so that no model can give it as a whole."""
    return prompts.fmt == "colon" and prompts.end in output.strip()


def scores(
    model: PreTrainedModel,
    prompts: Prompts,
    conversations: Sequence[Sequence[Message]],
    numbers: Sequence[int],
    *,
    prefix: Prefix | None = None,
) -> list[list[Score]]:
    """Return the scores of the last outputs of conversations, each given everything before it.

    Args:
        model: Any causal language model.
        prompts: Writes the conversations.
        conversations: Messages, the outputs included.
        numbers: For each conversation, how many of its last outputs are scored.
        prefix: The beginning of all conversations, if it has been read.
    """
    outputs = [
        [message["content"] for message in messages if message["role"] == "output"][-n:] if n else []
        for messages, n in zip(conversations, numbers, strict=True)
    ]
    pairs = [
        pair
        for messages, n in zip(conversations, numbers, strict=True)
        for pair in (prompts.outputs(messages)[-n:] if n else [])
    ]
    found = iter(_logprobs(model, prompts, pairs, prefix=prefix).tolist())
    return [[Score(text, next(found)) for text in texts] for texts in outputs]


def _logprobs(
    model: PreTrainedModel,
    prompts: Prompts,
    pairs: Sequence[Scored],
    *,
    prefix: Prefix | None,
    between: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """Return log-probabilities of outputs; in plain text one may end its paragraph or the whole text."""
    end = prompts.tokenizer.eos_token
    if prompts.fmt != "colon" or not end:
        return text_logprobs(model, prompts, pairs, prefix=prefix, between=between)
    ended = [Scored(pair.context, pair.output.removesuffix(prompts.end) + str(end)) for pair in pairs]
    # Scored together, so each context is read only once.
    found = text_logprobs(model, prompts, [*pairs, *ended], prefix=prefix, between=between)
    return np.logaddexp(found[: len(pairs)], found[len(pairs) :])
