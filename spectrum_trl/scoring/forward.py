"""Forward passes: only the logits needed, caches of what has been read, and token scores from them."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError
from spectrum_trl.scoring.tree import Ids

RIVAL = float(np.log(0.01))
# Bounds the memory of normalised logits.
ENTRIES_AT_ONCE = 2**24


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
    """Check that texts of these lengths in tokens fit into the model's context: nothing is truncated.

    ``limit`` is the context in tokens if it differs from its configuration's.

    Raises:
        UserError: If a text is too long.
    """
    limit = limit or getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(lengths, default=0)
    if limit is not None and longest > limit:
        number = sum(length > limit for length in lengths)
        raise UserError(
            f"too long: {number} of {counted(len(lengths), 'text')}; the longest has {longest} tokens, but "
            f"the model's context is {limit}; leave out outputs or tasks, or use another model"
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


class Picked(NamedTuple):
    """Scores of tokens, one entry each.

    Attributes:
        log_probabilities: Log-probability of the token, in nats.
        correct: Whether the token is the likeliest.
        rivals: Log-probabilities above log 0.01 of all other tokens.
    """

    log_probabilities: list[float]
    correct: list[bool]
    rivals: list[list[float]]


def shares_cache(model: PreTrainedModel) -> bool:
    """Return whether the model's cache can be copied exactly: it holds nothing but keys and values."""
    config = model.config.get_text_config(decoder=True)
    if config.is_encoder_decoder:
        return False
    layers = {type(layer) for layer in DynamicCache(config=config).layers}
    return layers <= {DynamicLayer, DynamicSlidingWindowLayer}


def new_cache(model: PreTrainedModel) -> DynamicCache:
    """Return an empty cache."""
    return DynamicCache(config=model.config.get_text_config(decoder=True))


def rows_of(past: DynamicCache, rows: Sequence[int], *, device: torch.device) -> DynamicCache:
    """Return a cache of the given rows, which may repeat; ``past`` is not changed."""
    found = copy.copy(past)
    # A layer replaces its tensors and never writes into them.
    found.layers = [copy.copy(layer) for layer in past.layers]
    found.batch_select_indices(torch.tensor(rows, device=device))
    return found


def joined(one: DynamicCache, other: DynamicCache, *, drop: int = 0) -> DynamicCache:
    """Return a cache of the rows of two, the shorter one padded on the left; neither is changed.

    Args:
        one: A cache.
        other: Another one of the same model.
        drop: Number of places at the left of ``one`` that are padding in all its rows.
    """
    length = max(one.get_seq_length() - drop, other.get_seq_length())
    found = copy.copy(one)
    found.layers = [copy.copy(layer) for layer in one.layers]
    layers: Any = zip(found.layers, one.layers, other.layers, strict=True)
    for layer, first, second in layers:
        # A sliding window keeps the last places only.
        kept = min(first.keys.shape[-2], one.get_seq_length() - drop)
        pairs = (first.keys[..., -kept:, :], second.keys), (first.values[..., -kept:, :], second.values)
        layer.keys, layer.values = (_stacked(*pair) for pair in pairs)
        if isinstance(layer, DynamicSlidingWindowLayer):
            layer.cumulative_length = length
    return found


def _stacked(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    width = max(one.shape[-2], other.shape[-2])
    return torch.cat([F.pad(part, (0, 0, width - part.shape[-2], 0)) for part in (one, other)])


def bytes_per_token(past: DynamicCache) -> float:
    """Return the memory of a cache in bytes per token of a row."""
    layers: Any = past.layers
    keys = layers[0].keys
    size = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
    return float(size / (keys.shape[0] * max(1, past.get_seq_length())))


def forward(
    model: PreTrainedModel,
    segments: Sequence[Ids],
    wanted: Sequence[Sequence[int]],
    *,
    past: DynamicCache | None = None,
    pads: Sequence[int] = (),
    left: bool = False,
) -> torch.Tensor:
    """Run the model on tokens, each segment continuing its row of the cache.

    Args:
        model: In evaluation mode.
        segments: Token ids, one segment per row.
        wanted: For each row, the indices in its segment at which logits are wanted.
        past: The rows' cache, which is extended, or None for no cache.
        pads: Number of padding tokens at the left of each row, in the cache or in this pass.
        left: Whether to pad segments on the left, as is necessary if others follow them.

    Returns:
        Logits, shape (wanted of all rows, vocabulary), row by row.
    """
    width, device = max(map(len, segments)), model.device
    ids = torch.zeros((len(segments), width), dtype=torch.long)
    for n, segment in enumerate(segments):
        place = slice(width - len(segment), width) if left else slice(0, len(segment))
        ids[n, place] = torch.from_numpy(segment.astype(np.int64))
    shifts = [width - len(segment) if left else 0 for segment in segments]
    places = [
        (row, n + shift)
        for row, (indices, shift) in enumerate(zip(wanted, shifts, strict=True))
        for n in indices
    ]
    inputs: dict[str, Any] = {"input_ids": ids.to(device), "use_cache": past is not None}
    if past is not None:
        inputs["past_key_values"] = past
    if any(pads):
        # Padding on the right needs no mask: later tokens change nothing before them.
        inputs |= _masked(pads, before=past.get_seq_length() if past is not None else 0, width=width)
    # Quantized heads fail on an empty input.
    rows, columns = torch.tensor(places or [(0, 0)]).unbind(dim=1)
    return _logits(model, rows, columns, inputs=inputs)[: len(places)]


def _masked(pads: Sequence[int], *, before: int, width: int) -> dict[str, torch.Tensor]:
    first = torch.tensor(pads).unsqueeze(1)
    places = torch.arange(before + width)
    return {
        "attention_mask": (places >= first).long(),
        "position_ids": (places[before:] - first).clamp(min=0),
    }


def _logits(
    model: PreTrainedModel, rows: torch.Tensor, columns: torch.Tensor, *, inputs: dict[str, Any]
) -> torch.Tensor:
    """Return the logits at the given positions; the head is applied to no other hidden states."""
    inputs = {key: v.to(model.device) if torch.is_tensor(v) else v for key, v in inputs.items()}
    selected = False

    def select(_: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal selected
        selected = True
        hidden = arguments[0]
        chosen = hidden[rows.to(hidden.device), columns.to(hidden.device)]
        return (chosen.unsqueeze(0), *arguments[1:])

    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(select) if head is not None else None
    try:
        logits = model(**inputs).logits
    finally:
        if hook is not None:
            hook.remove()
    # A model may use its head's weights without calling it.
    return logits[0] if selected else logits[rows.to(logits.device), columns.to(logits.device)]


def log_softmax(logits: torch.Tensor) -> torch.Tensor:
    """Normalise logits in double precision: single loses 5e-5 nats in a vocabulary of 262,144 tokens."""
    # MPS has no double precision.
    return (logits.float() if logits.device.type == "mps" else logits.double()).log_softmax(dim=-1)


def pick(logits: torch.Tensor, places: Sequence[int], targets: Sequence[int]) -> Picked:
    """Read the scores of tokens from logits.

    Args:
        logits: Shape (places, vocabulary).
        places: For each token, its row of the logits, ascending.
        targets: Ids of the tokens.
    """
    check_logits(logits)
    found = Picked([], [], [])
    step = max(1, ENTRIES_AT_ONCE // logits.shape[1])
    where, which = np.asarray(places), np.asarray(targets)
    for start in range(0, len(logits), step):
        first, last = np.searchsorted(where, [start, start + step])
        if first == last:
            continue
        every = log_softmax(logits[start : start + step])
        index = torch.from_numpy(where[first:last] - start).to(every.device)
        target = torch.from_numpy(which[first:last]).to(every.device)
        found.log_probabilities.extend(every[index, target].tolist())
        found.correct.extend((every.argmax(dim=-1)[index] == target).tolist())
        likely: list[list[tuple[int, float]]] = [[] for _ in range(len(every))]
        high = (every > RIVAL).nonzero()
        for (row, token), value in zip(high.tolist(), every[high[:, 0], high[:, 1]].tolist(), strict=True):
            likely[row].append((token, value))
        for row, token in zip(index.tolist(), target.tolist(), strict=True):
            found.rivals.append([value for other, value in likely[row] if other != token])
    return found


class Prefix(NamedTuple):
    """Tokens that have been read, and their cache of one row."""

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
