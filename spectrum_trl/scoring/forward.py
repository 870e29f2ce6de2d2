"""What scoring and sampling share: checked input, token ids, and forward passes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.prompts.formats import render
from spectrum_trl.prompts.messages import check

Conversation = Sequence[Mapping[str, Any]]


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


def check_lengths(model: PreTrainedModel, lengths: Sequence[int], *, limit: int | None = None) -> None:
    """Check that texts fit into the model's context: nothing is ever cut.

    Args:
        model: Whose configuration names the context, unless ``limit`` does.
        lengths: Tokens that the model has to read for each text.
        limit: The context in tokens.

    Raises:
        UserError: If one is too long.
    """
    limit = limit or getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(lengths, default=0)
    if limit is not None and longest > limit:
        number = sum(length > limit for length in lengths)
        raise UserError(
            f"{number} of {len(lengths)} texts are too long: the longest has {longest} tokens, but the "
            f"model's context only {limit}; leave out outputs or tasks, or use another model"
        )


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Conversation) -> list[int]:
    """Return the token ids of messages and of the header of the output to come."""
    turns = [dict(message) for message in messages]
    encoded: Any = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
    return list(encoded["input_ids"])
