"""Forward passes that leave a model unchanged, and a check that texts fit its context."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from spectrum_trl.errors import UserError


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Switch dropout and gradients off, and restore the model's mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def check_lengths(model: PreTrainedModel, lengths: Sequence[int], *, limit: int | None = None) -> None:
    """Check that texts fit into the model's context: nothing is truncated.

    Args:
        model: Its configuration gives the context, unless ``limit`` does.
        lengths: Number of tokens that the model has to read for each text.
        limit: The context in tokens.

    Raises:
        UserError: If a text is too long.
    """
    limit = limit or getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(lengths, default=0)
    if limit is not None and longest > limit:
        number = sum(length > limit for length in lengths)
        raise UserError(
            f"{number} of {len(lengths)} texts are too long: the longest has {longest} tokens, but the "
            f"model's context is {limit}; leave out outputs or tasks, or use another model"
        )
