"""Log probabilities of outputs under a transformers model; every output counts with its end-of-turn token."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.metrics.icl import OutputScores, number_outputs, per_output
from spectrum_trl.scoring.forward import (
    NO_LABEL,
    Conversation,
    check_conversations,
    check_length,
    evaluating,
    pad_id,
    padded,
    prompt_ids,
    token_scores,
)

# Bounds the memory of the logits: tokens times vocabulary times four bytes.
TOKENS_PER_BATCH = 8192


class _Answer(NamedTuple):
    """A candidate's token ids, and the number of its prompt."""

    prompt: int
    ids: list[int]


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
        tokens_per_batch: Upper limit of padded tokens in one forward pass of more than one conversation.

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
    rows = [torch.tensor(ids) for ids in encoded["input_ids"]]
    masks = [torch.tensor(mask, dtype=torch.bool) for mask in encoded["assistant_masks"]]
    _check_masks(rows, masks, conversations, tokenizer=tokenizer)
    check_length(model, max(map(len, rows)))
    found: dict[int, OutputScores] = {}
    with evaluating(model):
        for batch in _batches([len(row) for row in rows], tokens_per_batch=tokens_per_batch):
            ids = padded([rows[n] for n in batch], pad_id(tokenizer), device=model.device)
            labels = padded([rows[n].where(masks[n], NO_LABEL) for n in batch], NO_LABEL, device=model.device)
            attention = padded([torch.ones_like(rows[n]) for n in batch], 0, device=model.device)
            logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits
            for n, (log_probabilities, correct) in zip(batch, token_scores(logits, labels), strict=True):
                mask = masks[n].numpy()
                found[n] = per_output(log_probabilities.numpy(), correct.numpy(), number_outputs(mask)[mask])
    return [found[n] for n in range(len(rows))]


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
        model: Any causal language model with a key-value cache, on any device.
        tokenizer: Its tokenizer, with the Spectrum template.
        prompts: Messages before the output.
        candidates: For each prompt, the texts to score.
        tokens_per_batch: Upper limit of candidates times tokens, the prompt's included, in one forward pass
            of more than one candidate.

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
    encoded = [prompt_ids(tokenizer, messages) for messages in prompts]
    answers = [
        _Answer(n, [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id])
        for n, texts in enumerate(candidates)
        for text in texts
    ]
    check_length(model, max((len(encoded[a.prompt]) + len(a.ids) for a in answers), default=0))
    totals = np.empty(len(answers))
    with evaluating(model):
        for batch in _same_length(encoded, answers, tokens_per_batch=tokens_per_batch):
            part = [answers[n] for n in batch]
            totals[batch] = _answer_logprobs(model, encoded, part, padding=pad_id(tokenizer))
    ends = np.cumsum([len(texts) for texts in candidates])
    return [total for total in np.split(totals, ends)[:-1]]


def _answer_logprobs(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[_Answer], *, padding: int
) -> list[float]:
    """Score answers to prompts of one length: run the prompts, then the answers on copies of their cache."""
    used, owners = np.unique([answer.prompt for answer in answers], return_inverse=True)
    owner = torch.from_numpy(owners).to(model.device)
    start = model(input_ids=torch.tensor([prompts[n] for n in used], device=model.device), use_cache=True)
    past = start.past_key_values
    past.batch_select_indices(owner)
    rows = [torch.tensor(answer.ids) for answer in answers]
    ids = padded(rows, padding, device=model.device)
    labels = padded(
        [torch.cat([torch.tensor([NO_LABEL]), row]) for row in rows], NO_LABEL, device=model.device
    )
    # No mask: the prompts have no padding, and what follows an answer cannot change its scores.
    logits = model(input_ids=ids, past_key_values=past, use_cache=True).logits
    first = start.logits[:, -1:][owner]
    return [float(found.sum()) for found, _ in token_scores(torch.cat([first, logits], dim=1), labels)]


def _batches(lengths: Sequence[int], *, tokens_per_batch: int) -> Iterator[list[int]]:
    """Yield indices of rows of similar length, at least one, within the limit of padded tokens."""
    batch: list[int] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[n] > tokens_per_batch:
            yield batch
            batch = []
        batch.append(n)
    yield batch


def _same_length(
    prompts: Sequence[list[int]], answers: Sequence[_Answer], *, tokens_per_batch: int
) -> Iterator[list[int]]:
    """Yield indices of answers whose prompts have one length: padding must not come between the two."""

    def length(n: int) -> int:
        return len(prompts[answers[n].prompt])

    for tokens, group in groupby(sorted(range(len(answers)), key=length), key=length):
        same = list(group)
        size = max(1, tokens_per_batch // (tokens + max(len(answers[n].ids) for n in same)))
        yield from (same[start : start + size] for start in range(0, len(same), size))


def _check_masks(
    rows: Sequence[torch.Tensor],
    masks: Sequence[torch.Tensor],
    conversations: Sequence[Conversation],
    *,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Check that the template marked every output, each up to the end-of-turn token."""
    problems = []
    for number, (row, mask, messages) in enumerate(zip(rows, masks, conversations, strict=True), start=1):
        wanted = sum(message["role"] == "output" for message in messages)
        last = row[mask & ~torch.cat([mask[1:], torch.tensor([False])])].tolist()
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
