"""Log probabilities of outputs under a transformers model; every output counts with its end-of-turn token."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.metrics.icl import OutputScores, number_outputs, per_output
from spectrum_trl.prompts.scored import Prompts, Scored
from spectrum_trl.scoring.engine import TOKENS_PER_BATCH, score
from spectrum_trl.scoring.forward import Conversation, check_conversations, prompt_ids
from spectrum_trl.scoring.tree import Request


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


def text_logprobs(
    model: PreTrainedModel,
    prompts: Prompts,
    pairs: Sequence[Scored],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> NDArray[np.float64]:
    """Return the log probability of each text after its context, in nats, shape (pairs,); in any format.

    Args:
        model: Any causal language model, on any device.
        prompts: Who wrote the texts.
        pairs: Contexts, and what follows them.
        tokens_per_batch: See `engine.score`.

    Raises:
        UserError: If the model's context is too short.
    """
    contexts = list(dict.fromkeys(pair.context for pair in pairs))
    read = dict(zip(contexts, _ids(prompts, contexts), strict=True))
    requests, leads = [], dict[str, Request]()
    for pair, ids in zip(pairs, _ids(prompts, [pair.context + pair.output for pair in pairs]), strict=True):
        start = len(read[pair.context])
        if ids[:start] != read[pair.context]:
            # A token reaches from the context into the text: the context's end is scored with it, and alone.
            bare, _ = prompts.split(pair.context)
            start = len(_ids(prompts, [bare])[0])
            leads[pair.context] = Request(read[pair.context], start)
        requests.append(Request(ids, start))
    answers = score(model, [*requests, *leads.values()], tokens_per_batch=tokens_per_batch)
    totals = np.array([one[0] for one in answers])
    alone = dict(zip(leads, totals[len(pairs) :], strict=True))
    return totals[: len(pairs)] - np.array([alone.get(pair.context, 0.0) for pair in pairs])


def _ids(prompts: Prompts, texts: Sequence[str]) -> list[list[int]]:
    encoded: Any = prompts.tokenizer(list(texts), add_special_tokens=False) if texts else {"input_ids": []}
    return list(encoded["input_ids"])


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
