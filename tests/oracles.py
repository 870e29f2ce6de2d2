"""Scores, candidates and samples of the Spectrum format, one call each: tests compare with them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.prompts.formats import render
from spectrum_trl.prompts.messages import check
from spectrum_trl.scoring.draw import Limits, draw
from spectrum_trl.scoring.engine import TOKENS_PER_BATCH, score
from spectrum_trl.scoring.tree import Request

Conversation = Sequence[Mapping[str, Any]]


class OutputScores(NamedTuple):
    """Scores of the n outputs of one sequence, in order; all arrays have shape (n,).

    Attributes:
        number: Number of the output, from 0.
        n_tokens: Its tokens, the end-of-turn token among them.
        loss: Summed negative log probability of its tokens, in nats.
        first_correct: Whether the likeliest first token is right.
        accuracy: Share of its tokens that are the likeliest, in [0, 1].
        all_correct: Whether all of them are.
    """

    number: NDArray[np.int64]
    n_tokens: NDArray[np.int64]
    loss: NDArray[np.float64]
    first_correct: NDArray[np.bool_]
    accuracy: NDArray[np.float64]
    all_correct: NDArray[np.bool_]


class Means(NamedTuple):
    """Means over all outputs with the same number; all arrays have shape (k,).

    Attributes:
        number: The k numbers that occur, ascending.
        mean: Mean of the values.
        n: Number of values.
    """

    number: NDArray[np.int64]
    mean: NDArray[np.float64]
    n: NDArray[np.int64]


def number_outputs(scored: ArrayLike) -> NDArray[np.int64]:
    """Number the outputs of a sequence: each unbroken run of scored tokens is one.

    Args:
        scored: Shape (tokens,), whether a token belongs to an output.

    Returns:
        Shape (tokens,), the output's number from 0, or -1.
    """
    mask = np.asarray(scored, dtype=bool)
    starts = mask & ~np.concatenate([[False], mask[:-1]])
    return np.where(mask, np.cumsum(starts) - 1, -1)


def per_output(log_probabilities: ArrayLike, correct: ArrayLike, numbers: ArrayLike) -> OutputScores:
    """Sum up the tokens of each output.

    Args:
        log_probabilities: Shape (tokens,), of the scored tokens, in nats.
        correct: Shape (tokens,), whether a scored token is the likeliest one.
        numbers: Shape (tokens,), the output that each belongs to.

    Returns:
        One entry for each number that occurs, ascending.
    """
    number, first, inverse, n_tokens = np.unique(
        np.asarray(numbers, dtype=np.int64), return_index=True, return_inverse=True, return_counts=True
    )
    hits = np.asarray(correct, dtype=bool)
    n_correct = _sums(inverse, hits)
    return OutputScores(
        number=number,
        n_tokens=n_tokens,
        loss=-_sums(inverse, log_probabilities),
        first_correct=hits[first],
        accuracy=n_correct / n_tokens,
        all_correct=n_correct == n_tokens,
    )


def mean_by_number(numbers: ArrayLike, values: ArrayLike) -> Means:
    """Average over sequences, which may differ in length, for each output number.

    Args:
        numbers: Shape (outputs,), of all sequences one after the other.
        values: Shape (outputs,), for example their losses in nats.
    """
    number, inverse, n = np.unique(
        np.asarray(numbers, dtype=np.int64), return_inverse=True, return_counts=True
    )
    return Means(number, _sums(inverse, values) / n, n)


def _sums(groups: NDArray[np.int64], values: ArrayLike) -> NDArray[np.float64]:
    return np.bincount(groups, weights=np.asarray(values, dtype=np.float64)).astype(np.float64)


def check_conversations(conversations: Sequence[Conversation], *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that conversations can become token ids.

    Raises:
        UserError: For everything that is wrong with their messages, or where the tokenizer's template is not
            ours: stock templates may drop our roles without a word.
    """
    problems = [
        f"conversation {number}: {problem}"
        for number, messages in enumerate(conversations, start=1)
        for problem in check(messages, tokenizer=tokenizer, trained=False)
    ]
    if problems:
        raise UserError(*problems)
    for messages in conversations[:1]:
        render(messages, tokenizer=tokenizer)


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Conversation) -> list[int]:
    """Return the token ids of messages and of the header of the output to come."""
    turns = [dict(message) for message in messages]
    encoded: Any = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
    return list(encoded["input_ids"])


def output_losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Conversation],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[NDArray[np.float64]]:
    """Return the losses of each conversation's outputs in nats, shape (outputs,); see `output_scores`."""
    scores = output_scores(model, tokenizer, conversations, tokens_per_batch=tokens_per_batch)
    return [score.loss for score in scores]


def output_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Conversation],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[OutputScores]:
    """Score every output given all messages before it.

    Args:
        model: Any causal language model, on any device.
        tokenizer: Its tokenizer, with the Spectrum template.
        conversations: Messages, each with a description: without it the template scores no first output.
        tokens_per_batch: See `engine.score`.

    Returns:
        One entry per conversation.

    Raises:
        UserError: If a conversation is malformed, has an output that the template does not mark, or is longer
            than the model's context.
    """
    check_conversations(conversations, tokenizer=tokenizer)
    if not conversations:
        return []
    turns = [[dict(message) for message in messages] for messages in conversations]
    encoded: Any = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    rows = [np.array(ids) for ids in encoded["input_ids"]]
    masks = [np.array(mask, dtype=bool) for mask in encoded["assistant_masks"]]
    _check_masks(rows, masks, conversations, tokenizer=tokenizer)
    numbers = [number_outputs(mask) for mask in masks]
    # One request per output, which the engine puts together again: the tokens of an output follow each other.
    requests = [
        Request(row[: places[-1] + 1].tolist(), int(places[0]))
        for row, number in zip(rows, numbers, strict=True)
        for places in (np.flatnonzero(number == output) for output in range(number.max() + 1))
    ]
    answers = iter(score(model, requests, tokens_per_batch=tokens_per_batch))
    found = []
    for number in numbers:
        outputs = [next(answers) for _ in range(number.max() + 1)]
        log_probabilities = np.concatenate([one.log_probabilities for one in outputs])
        correct = np.concatenate([one.correct for one in outputs])
        found.append(per_output(log_probabilities, correct, number[number >= 0]))
    return found


def candidate_logprobs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Conversation],
    candidates: Sequence[Sequence[str]],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[NDArray[np.float64]]:
    """Return the log probability of each candidate text, with its end-of-turn token, as the next output.

    The candidates of a prompt share one pass over it.

    Args:
        model: Any causal language model, on any device.
        tokenizer: Its tokenizer, with the Spectrum template.
        prompts: Messages before the output.
        candidates: For each prompt, the texts to score.
        tokens_per_batch: See `engine.score`.

    Returns:
        Per prompt, log probabilities in nats, shape (candidates,). The probabilities of different texts sum
        to at most 1.

    Raises:
        UserError: If a prompt is malformed, a text holds a control token, or the context is too short.
    """
    check_conversations(
        [
            [*messages, *({"role": "output", "content": text} for text in texts)]
            for messages, texts in zip(prompts, candidates, strict=True)
        ],
        tokenizer=tokenizer,
    )
    end = tokenizer.eos_token_id
    requests = []
    for messages, texts in zip(prompts, candidates, strict=True):
        prompt = prompt_ids(tokenizer, messages)
        answers = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        requests += [Request([*prompt, *answer, end], len(prompt)) for answer in answers]
    totals = np.array([one[0] for one in score(model, requests, tokens_per_batch=tokens_per_batch)])
    ends = np.cumsum([len(texts) for texts in candidates])
    return [total for total in np.split(totals, ends)[:-1]]


def _check_masks(
    rows: Sequence[NDArray[np.int64]],
    masks: Sequence[NDArray[np.bool_]],
    conversations: Sequence[Conversation],
    *,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Check that the template marked every output, each up to the end-of-turn token."""
    problems = []
    for number, (row, mask, messages) in enumerate(zip(rows, masks, conversations, strict=True), start=1):
        wanted = sum(message["role"] == "output" for message in messages)
        last = row[mask & ~np.append(mask[1:], False)].tolist()
        if len(last) != wanted:
            problems.append(
                f"conversation {number}: the chat template marks {len(last)} of {wanted} outputs as scored; "
                "give it a description, and the tokenizer the Spectrum template (templates.install)"
            )
        elif set(last) - {tokenizer.eos_token_id}:
            ending = tokenizer.convert_ids_to_tokens(last[0])
            problems.append(
                f"conversation {number}: its outputs end with {ending!r}, not with the tokenizer's "
                f"end-of-sequence token {tokenizer.eos_token!r}; call templates.install"
            )
    if problems:
        raise UserError(*problems)


class Sample(NamedTuple):
    """One output.

    Attributes:
        text: What was generated before the end of the turn.
        ended: Whether the turn ended within the limit of new tokens.
    """

    text: str
    ended: bool


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: Conversation,
    *,
    n: int,
    seed: int,
    max_new_tokens: int,
) -> list[Sample]:
    """Draw outputs at temperature 1 from the whole vocabulary, independently of each other.

    Args:
        model: Any causal language model, on any device.
        tokenizer: Its tokenizer, with the Spectrum template.
        messages: Description, inputs and outputs so far.
        n: Number of samples; they share one pass over the prompt.
        seed: The only source of randomness; the global state of torch is left as it was.
        max_new_tokens: Where to give up on a sample, its end-of-turn token included.

    Returns:
        The n samples.

    Raises:
        UserError: If the messages are malformed, or the context is too short.
    """
    check_conversations([messages], tokenizer=tokenizer)
    end = tokenizer.eos_token_id
    drawn = draw(
        model,
        prompt_ids(tokenizer, messages),
        seeds=[(seed, number) for number in range(n)],
        limits=Limits(max_new_tokens, ends=(end,)),
    )
    return [_cut(ids, tokenizer=tokenizer, end=end) for ids in drawn]


def _cut(ids: list[int], *, tokenizer: PreTrainedTokenizerBase, end: int) -> Sample:
    # Other special tokens stay in the text: a sample that holds one is not the text without it.
    ended = end in ids
    kept = ids[: ids.index(end)] if ended else ids
    text = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Sample(str(text), ended)
