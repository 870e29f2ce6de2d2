"""Forward passes that leave a model unchanged, and checks of what goes in and comes out."""

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


def check_logits(logits: torch.Tensor) -> None:
    """Check that logits are numbers; minus infinity marks an impossible token and is allowed.

    Raises:
        UserError: If one is NaN or infinite, or every token of a row is impossible.
    """
    if logits.isnan().any() or (logits.amax(dim=-1).isinf()).any():
        raise UserError(
            f"the model's logits are NaN or infinite in {str(logits.dtype).removeprefix('torch.')}, so "
            "nothing can be scored; try --dtype float32, or an earlier checkpoint"
        )
