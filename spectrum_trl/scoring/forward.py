"""What scoring and sampling share: checked input, token ids, and forward passes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.prompts.formats import render
from spectrum_trl.prompts.messages import check

Conversation = Sequence[Mapping[str, Any]]
NO_LABEL = -100


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Switch dropout and gradients off, and leave the model as it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


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


def check_length(model: PreTrainedModel, length: int) -> None:
    """Check that so many tokens fit into the model's context.

    Raises:
        UserError: If they do not.
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and length > limit:
        raise UserError(
            f"a conversation has {length} tokens, but the model's context only {limit}: leave out outputs, "
            "or use another model"
        )


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Conversation) -> list[int]:
    """Return the token ids of messages and of the header of the output to come."""
    turns = [dict(message) for message in messages]
    encoded: Any = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
    return list(encoded["input_ids"])


def padded(rows: Sequence[torch.Tensor], value: int, *, device: torch.device) -> torch.Tensor:
    """Stack rows of different lengths, padded on the right."""
    return pad_sequence(list(rows), batch_first=True, padding_value=value).to(device)


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return an id to pad with; which one never matters, since padding comes last and is masked."""
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def token_scores(logits: torch.Tensor, labels: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Score the labelled tokens, in single precision whatever the logits' is.

    Args:
        logits: Shape (rows, tokens, vocabulary); position t predicts token t + 1.
        labels: Shape (rows, tokens), -100 where a token is not scored; the first never is.

    Returns:
        For each row the log probabilities of its labelled tokens in nats, and whether each is the likeliest,
        both of shape (labelled tokens,) and on the CPU.
    """
    chosen = labels[:, 1:] != NO_LABEL
    wanted = labels[:, 1:][chosen]
    every = logits[:, :-1][chosen].float().log_softmax(dim=-1)
    found = every.gather(-1, wanted.unsqueeze(-1)).squeeze(-1).double().cpu()
    correct = (every.argmax(dim=-1) == wanted).cpu()
    counts = chosen.sum(dim=1).tolist()
    return list(zip(found.split(counts), correct.split(counts), strict=True))
