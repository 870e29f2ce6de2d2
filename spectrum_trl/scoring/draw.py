"""Continue prompts token by token: by sampling, with one seed per text, or greedily."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from spectrum_trl.scoring.budget import Budget
from spectrum_trl.scoring.engine import cache_limit
from spectrum_trl.scoring.forward import (
    Prefix,
    bytes_per_token,
    check_lengths,
    check_logits,
    evaluating,
    forward,
    joined,
    new_cache,
    read_on,
    rows_of,
    shares_cache,
)

# Tokens of prompts and texts in one batch, where prompts differ.
TOKENS_AT_ONCE = 2**15
Seed = int | Sequence[int]
Stopped = Callable[[list[list[int]]], list[bool]]
# Called after each token with the indices of the growing texts, their tokens, and the logits of the last one,
# shape (texts, vocabulary); returns for each text whether it has ended.
Grown = Callable[[Sequence[int], list[list[int]], torch.Tensor], Sequence[bool]]


class Decoding(NamedTuple):
    """How a token is sampled; by default from the model's full distribution.

    Attributes:
        temperature: Divisor of the logits; 0 for the likeliest token.
        top_k: Sample from this many of the likeliest tokens; 0 for all.
        top_p: Sample from the likeliest tokens that reach this total probability, in (0, 1].
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


FULL, GREEDY = Decoding(), Decoding(temperature=0)


class Limits(NamedTuple):
    """When a text ends.

    Attributes:
        max_new_tokens: Maximum number of tokens, the last included.
        ends: Tokens that end a text; they are included in the result.
        stopped: Returns for each text, given its tokens, whether it has ended.
        context: The model's context in tokens, if it differs from its configuration's.
    """

    max_new_tokens: int
    ends: Collection[int] = ()
    stopped: Stopped = lambda texts: [False] * len(texts)
    context: int | None = None

    def reached(self, numbers: Sequence[int], texts: list[list[int]], logits: torch.Tensor) -> list[bool]:
        """Return for each text, given its tokens, whether it has ended before it is longest."""
        stopped = self.stopped(texts)
        return [stop or ids[-1] in self.ends for ids, stop in zip(texts, stopped, strict=True)]


class Text(NamedTuple):
    """A text to sample, of one of several prompts.

    Attributes:
        prompt: Token ids, at least one.
        seed: Determines the text.
        max_new_tokens: Maximum number of tokens, the last included.
        decoding: How its tokens are sampled.
    """

    prompt: tuple[int, ...]
    seed: Seed
    max_new_tokens: int
    decoding: Decoding = FULL


class _Prompts(NamedTuple):
    """Prompts after the forward pass over them."""

    logits: torch.Tensor
    past: DynamicCache
    pads: list[int]


def draw(
    model: PreTrainedModel,
    prompt: Sequence[int],
    *,
    seeds: Sequence[Seed],
    limits: Limits,
    decoding: Decoding = FULL,
    prefix: Prefix | None = None,
    rows_per_batch: int | None = None,
) -> list[list[int]]:
    """Sample continuations of one prompt, which is read once; each text depends on its own seed only.

    Each token is drawn by inverting the cumulative distribution in double precision.

    Args:
        model: Any causal language model, on any device.
        prompt: Token ids, at least one.
        seeds: One for each text.
        limits: When a text ends.
        decoding: How a token is sampled.
        prefix: Tokens that have been read already; of use if the prompt begins with them.
        rows_per_batch: Number of texts generated together; by default as many as fit into memory.

    Returns:
        The token ids of each text.

    Raises:
        UserError: If the context is too short.
    """
    texts = [Text(tuple(prompt), seed, limits.max_new_tokens, decoding) for seed in seeds]
    drawing = _Drawing(model, texts, grown=limits.reached, context=limits.context)
    with evaluating(model):
        # If the cache cannot be copied, the prompt is read once per text.
        if drawing.shares:
            past, logits = read_on(model, prompt, after=prefix)
            drawing.started = _Prompts(logits, past, [0])
            per_row = bytes_per_token(past) * (len(prompt) + limits.max_new_tokens)
            rows_per_batch = rows_per_batch or int(cache_limit(model) // per_row) or 1
        Budget(rows_per_batch or len(seeds)).run(range(len(seeds)), drawing.run, cost=lambda _: 1)
    return drawing.results()


def draw_each(
    model: PreTrainedModel,
    texts: Sequence[Text],
    *,
    grown: Grown = lambda numbers, texts, logits: [False] * len(numbers),
    more: Callable[[], Sequence[Text]] = lambda: (),
    answered: Callable[[int, list[int]], None] = lambda number, ids: None,
    context: int | None = None,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> list[list[int]]:
    """Sample continuations of several prompts together; each depends on its own prompt and seed only.

    Args:
        model: Any causal language model, on any device.
        texts: What is sampled. Texts of one prompt share its forward pass.
        grown: Sees each token, and ends texts. It sees a text's tokens again from the first one if memory ran
            out in between.
        more: Called after each token: returns texts that join the others. Not called if the model's cache
            cannot be copied.
        answered: Called with the number of a text and its tokens as soon as its batch has ended.
        context: The model's context in tokens, if it differs from its configuration's.
        tokens_at_once: Upper limit of the tokens of prompts and texts in one batch of more than one text;
            what joins is not counted.

    Returns:
        The token ids of each text, those that joined last.

    Raises:
        UserError: If the context is too short.
    """
    drawing = _Drawing(model, texts, grown=grown, more=more, answered=answered, context=context)
    budget = Budget(tokens_at_once)
    with evaluating(model):
        # Texts that joined a batch for which memory did not suffice are left over.
        while left := [n for n in range(len(drawing.texts)) if n not in drawing.found]:
            # What is no cache of keys and values may hold padding, so only prompts of one length are read
            # together.
            lengths = [0 if drawing.shares else len(drawing.texts[n].prompt) for n in left]
            for length in sorted(set(lengths)):
                group = [n for n, one in zip(left, lengths, strict=True) if one == length]
                budget.run(group, drawing.run, cost=drawing.cost)
    return drawing.results()


def greedy(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    limits: Limits,
    answered: Callable[[int, list[int]], None] = lambda number, ids: None,
) -> list[list[int]]:
    """Return the token ids of the likeliest continuation of each prompt, token by token; see `draw_each`."""
    texts = [Text(tuple(prompt), 0, limits.max_new_tokens, GREEDY) for prompt in prompts]
    return draw_each(model, texts, grown=limits.reached, answered=answered, context=limits.context)


class _Drawing:
    """Texts that are drawn, with their random numbers and, once they have ended, their tokens."""

    def __init__(
        self,
        model: PreTrainedModel,
        texts: Sequence[Text],
        *,
        grown: Grown,
        more: Callable[[], Sequence[Text]] = lambda: (),
        answered: Callable[[int, list[int]], None] = lambda number, ids: None,
        context: int | None = None,
    ) -> None:
        self.model, self.grown, self.more, self.answered, self.context = model, grown, more, answered, context
        self.shares = shares_cache(model)
        # The only prompt, if it has been read.
        self.started: _Prompts | None = None
        self.texts: list[Text] = []
        self.draws: list[np.ndarray] = []
        self.found: dict[int, list[int]] = {}
        self.add(texts)

    def add(self, texts: Sequence[Text]) -> list[int]:
        """Add texts, and return their numbers."""
        lengths = [len(one.prompt) + one.max_new_tokens for one in texts]
        check_lengths(self.model, lengths, limit=self.context)
        self.texts += texts
        self.draws += [np.random.default_rng(one.seed).random(one.max_new_tokens) for one in texts]
        return list(range(len(self.texts) - len(texts), len(self.texts)))

    def cost(self, number: int) -> int:
        return len(self.texts[number].prompt) + self.texts[number].max_new_tokens

    def results(self) -> list[list[int]]:
        return [self.found[n] for n in range(len(self.texts))]

    def run(self, numbers: Sequence[int]) -> None:
        """Draw texts, and those that join them."""
        drawn = list(numbers)

        def choose(logits: torch.Tensor, alive: Sequence[int], steps: Sequence[int]) -> torch.Tensor:
            those = [drawn[row] for row in alive]
            # A text that has ended stays in the batch if the cache cannot be cut; its token is not used.
            places = zip((self.draws[n] for n in those), steps, strict=True)
            values = np.array([draws[min(step, len(draws) - 1)] for draws, step in places])
            return _drawn_each(logits, values, decodings=[self.texts[n].decoding for n in those])

        def ended(rows: Sequence[int], ids: list[list[int]], logits: torch.Tensor) -> list[bool]:
            those = [drawn[row] for row in rows]
            told = self.grown(those, ids, logits)
            longest = [self.texts[n].max_new_tokens for n in those]
            return [a or len(one) >= n for a, one, n in zip(told, ids, longest, strict=True)]

        def joining() -> _Prompts | None:
            added = self.add(self.more())
            drawn.extend(added)
            return self._read(added) if added else None

        texts = _continue(self.model, self._read(drawn), choose=choose, grown=ended, joining=joining)
        for n, ids in zip(drawn, texts, strict=True):
            self.found[n] = ids
            self.answered(n, ids)

    def _read(self, numbers: Sequence[int]) -> _Prompts:
        if self.started:
            return _copies(self.model, self.started, [0] * len(numbers))
        prompts = [self.texts[n].prompt for n in numbers]
        rows = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
        if not self.shares or len(rows) == len(prompts):
            return _read(self.model, prompts)
        return _copies(self.model, _read(self.model, list(rows)), [rows[prompt] for prompt in prompts])


def _read(model: PreTrainedModel, prompts: Sequence[Sequence[int]]) -> _Prompts:
    past, longest = new_cache(model), max(map(len, prompts))
    pads = [longest - len(prompt) for prompt in prompts]
    segments = [np.asarray(prompt, dtype=np.uint32) for prompt in prompts]
    last = [[len(prompt) - 1] for prompt in prompts]
    return _Prompts(forward(model, segments, last, past=past, pads=pads, left=True), past, pads)


def _copies(model: PreTrainedModel, prompts: _Prompts, rows: Sequence[int]) -> _Prompts:
    past = rows_of(prompts.past, rows, device=model.device)
    return _Prompts(prompts.logits[list(rows)], past, [prompts.pads[n] for n in rows])


def _continue(
    model: PreTrainedModel,
    prompts: _Prompts,
    *,
    choose: Callable[[torch.Tensor, Sequence[int], Sequence[int]], torch.Tensor],
    grown: Grown,
    joining: Callable[[], _Prompts | None] = lambda: None,
) -> list[list[int]]:
    """Append tokens to each row until it ends; finished rows leave the batch, and others may join it."""
    logits, past, pads = prompts
    texts: list[list[int]] = [[] for _ in pads]
    ended = set[int]()
    alive, may_leave = list(range(len(pads))), shares_cache(model)
    while True:
        check_logits(logits)
        chosen = choose(logits, alive, [len(texts[row]) for row in alive])
        growing = [n for n, row in enumerate(alive) if row not in ended]
        for n, token in zip(growing, chosen[growing].tolist(), strict=True):
            texts[alive[n]].append(token)
        rows = [alive[n] for n in growing]
        seen = logits if len(rows) == len(alive) else logits[growing]
        stopped = grown(rows, [texts[row] for row in rows], seen)
        ended.update(row for row, stop in zip(rows, stopped, strict=True) if stop)
        staying = [n for n in growing if alive[n] not in ended]
        new = joining() if may_leave else None
        if staying:
            if may_leave and len(staying) < len(alive):
                alive, pads = [alive[n] for n in staying], [pads[n] for n in staying]
                past = rows_of(past, staying, device=model.device)
                chosen = chosen[staying]
            segments = list(chosen.cpu().numpy().astype(np.uint32)[:, None])
            logits = forward(model, segments, [[0]] * len(alive), past=past, pads=pads)
        elif new is None:
            return texts
        if new is not None:
            begun = range(len(texts), len(texts) + len(new.pads))
            texts += [[] for _ in begun]
            alive = [*alive, *begun] if staying else list(begun)
            logits, past, pads = _beside(_Prompts(logits, past, pads), new) if staying else new


def _beside(one: _Prompts, other: _Prompts) -> _Prompts:
    """Return the rows of two batches as one, without the padding that all rows of the first share."""
    drop = min(one.pads)
    lengths = one.past.get_seq_length() - drop, other.past.get_seq_length()
    past = joined(one.past, other.past, drop=drop)
    longest = max(lengths)
    pads = [pad - drop + longest - lengths[0] for pad in one.pads]
    pads += [pad + longest - lengths[1] for pad in other.pads]
    return _Prompts(torch.cat([one.logits, other.logits]), past, pads)


def _drawn(logits: torch.Tensor, draws: np.ndarray, *, decoding: Decoding) -> torch.Tensor:
    """Draw a token for each row by inverting its cumulative distribution.

    Args:
        logits: Shape (rows, vocabulary).
        draws: Shape (rows,), uniform in [0, 1).
        decoding: How a token is sampled.
    """
    if decoding.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = _restricted(logits, decoding=decoding).softmax(dim=-1)
    if probabilities.device.type == "mps":  # MPS has no double precision.
        probabilities = probabilities.cpu()
    cumulative = probabilities.cumsum(dim=-1, dtype=torch.float64)
    reached = torch.from_numpy(draws).to(cumulative.device).unsqueeze(1) * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, reached, right=True).squeeze(1)
    return found.clamp(max=logits.shape[1] - 1).to(logits.device)


def _drawn_each(logits: torch.Tensor, draws: np.ndarray, *, decodings: Sequence[Decoding]) -> torch.Tensor:
    """Draw a token for each row with its own decoding, see `_drawn`."""
    if len(set(decodings)) == 1:
        return _drawn(logits, draws, decoding=decodings[0])
    chosen = torch.empty(len(logits), dtype=torch.long, device=logits.device)
    for decoding in set(decodings):
        rows = [n for n, one in enumerate(decodings) if one == decoding]
        chosen[rows] = _drawn(logits[rows], draws[rows], decoding=decoding)
    return chosen


def _restricted(logits: torch.Tensor, *, decoding: Decoding) -> torch.Tensor:
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if decoding.temperature != 1:
        logits = logits / decoding.temperature
    if 0 < decoding.top_k < logits.shape[1]:
        least = logits.topk(decoding.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if decoding.top_p < 1:
        ordered, order = logits.softmax(dim=-1).sort(dim=-1, descending=True)
        beyond = ordered.cumsum(dim=-1) - ordered >= decoding.top_p
        logits = logits.masked_fill(beyond.gather(-1, order.argsort(dim=-1)), -torch.inf)
    return logits
