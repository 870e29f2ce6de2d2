"""Tokens that a model has read once and for all: what follows them goes on from their keys and values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from spectrum_trl.scoring.forward import check_lengths, evaluating
from spectrum_trl.scoring.logits import forward, new_cache, rows_of, shares_cache


class Prefix(NamedTuple):
    """Tokens that have been read.

    Attributes:
        ids: Shape (tokens,).
        past: Their cache, of one row.
    """

    ids: tuple[int, ...]
    past: DynamicCache

    def begins(self, ids: Sequence[int]) -> bool:
        """Return whether it is followed by at least one token in ``ids``."""
        return len(ids) > len(self.ids) and tuple(ids[: len(self.ids)]) == self.ids


def read(model: PreTrainedModel, ids: Sequence[int], *, after: Prefix | None) -> Prefix | None:
    """Read tokens, only the new ones if a beginning of them has been read.

    Args:
        model: Any causal language model, on any device.
        ids: Tokens.
        after: What has been read.

    Returns:
        None if there are no tokens, or if the model's cache holds more than keys and values.

    Raises:
        UserError: If they are longer than the model's context.
    """
    if after is not None and after.ids == tuple(ids):
        return after
    if not ids or not shares_cache(model):
        return None
    past, _ = read_on(model, ids, after=after, wanted=[])
    return Prefix(tuple(ids), past)


def read_on(
    model: PreTrainedModel, ids: Sequence[int], *, after: Prefix | None, wanted: Sequence[int] = (-1,)
) -> tuple[DynamicCache, torch.Tensor]:
    """Read a prompt, only its new tokens if a beginning of it has been read.

    Args:
        model: Any causal language model whose cache can be copied.
        ids: Tokens of the prompt, at least one.
        after: What has been read.
        wanted: Indices of the tokens whose logits are returned.

    Returns:
        The cache of all tokens, and logits, shape (wanted, vocabulary).

    Raises:
        UserError: If the prompt is longer than the model's context.
    """
    check_lengths(model, [len(ids)])
    with evaluating(model):
        if after is not None and after.begins(ids):
            past, rest = rows_of(after.past, [0], device=model.device), ids[len(after.ids) :]
        else:
            past, rest = new_cache(model), ids
        places = [n % len(rest) for n in wanted]
        return past, forward(model, [np.asarray(rest, dtype=np.uint32)], [places], past=past)
