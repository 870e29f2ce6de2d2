"""Score many requests exactly, computing shared prefixes only once."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from spectrum_trl.prompts.scored import Prompts, Scored
from spectrum_trl.scoring.budget import Budget
from spectrum_trl.scoring.forward import (
    Prefix,
    bytes_per_token,
    check_lengths,
    evaluating,
    forward,
    new_cache,
    pick,
    rows_of,
    shares_cache,
)
from spectrum_trl.scoring.tree import Node, Request, Row, build

# Padded tokens in a forward pass of more than one row.
TOKENS_PER_BATCH = 8192
# Texts tokenized between two moments at which all may be given up.
TEXTS_AT_ONCE = 32
# Further bounds on such a forward pass: entries of the logits, and bytes of the cache.
LOGITS_PER_BATCH = 2**28
CACHE_ON_CPU, CACHE_ON_DEVICE = 2 * 2**30, 16 * 2**30


def cache_limit(model: PreTrainedModel) -> int:
    """Return the most bytes of the cache in one forward pass."""
    return CACHE_ON_CPU if model.device.type == "cpu" else CACHE_ON_DEVICE


class TokenScores(tuple[float, bool]):
    """The answer to a request as lm-eval reads it, with scores for each token.

    As a tuple it holds the log-probability in nats, and whether every token is the likeliest given those
    before it.

    Attributes:
        log_probabilities: Log-probability of each token, in nats.
        correct: For each token, whether it is the likeliest.
        rivals: For each token, the log-probabilities above log 0.01 of all other tokens.
    """

    log_probabilities: list[float]
    correct: list[bool]
    rivals: list[list[float]]

    def __new__(
        cls, log_probabilities: list[float], correct: list[bool], rivals: list[list[float]]
    ) -> "TokenScores":
        """Sum the scores of the tokens."""
        found = super().__new__(cls, (float(sum(log_probabilities)), all(correct)))
        found.log_probabilities, found.correct, found.rivals = log_probabilities, correct, rivals
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to unpickle it."""
        return TokenScores, (self.log_probabilities, self.correct, self.rivals)


class _Open:
    """An unanswered request."""

    def __init__(self, request: Request) -> None:
        self.first = request.start - 1
        self.targets = list(request.ids[request.start :])
        self.found: list[Any] = [None] * len(self.targets)


class _Started(NamedTuple):
    """A prefix that has been read, with its row in the cache."""

    node: Node
    row: int
    past: DynamicCache
    pads: int


def score(
    model: PreTrainedModel,
    requests: Sequence[Request],
    *,
    prefix: Prefix | None = None,
    limit: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    answered: Callable[[int, TokenScores], None] = lambda number, scores: None,
) -> list[TokenScores]:
    """Score continuations; requests may overlap and come in any order.

    A context that is a prefix of another is scored in the same pass; a longer prefix that several requests
    share is read once, and its keys and values are copied. If a model's cache holds anything else, nothing is
    copied.

    Args:
        model: Any causal language model, on any device.
        requests: Contexts and continuations. An empty continuation has probability 1.
        prefix: Tokens that have been read already; of use if every context begins with them.
        limit: The model's context in tokens, if it differs from its configuration's.
        tokens_per_batch: Upper limit of padded tokens in one forward pass of more than one row; lowered
            when memory runs out.
        answered: Called with the index of a request and its scores as soon as they are known.

    Returns:
        The scores, in the order of the requests.

    Raises:
        UserError: If a request is longer than the model's context; nothing is truncated.
    """
    check_lengths(model, [len(request.ids) - 1 for request in requests], limit=limit)
    past = None
    if prefix and all(prefix.begins(request.ids[: request.start]) for request in requests):
        past, read = prefix.past, len(prefix.ids)
        requests = [Request(request.ids[read:], request.start - read) for request in requests]
    scoring = _Scoring(model, requests, tokens_per_batch=tokens_per_batch, answered=answered)
    return scoring.run(past)


# Prefixes that follow others in one cache, and have equally many tokens beyond them: they need no padding.
_Group = list[tuple[_Started, Node]]


def _groups(started: Sequence[_Started]) -> list[_Group]:
    found: dict[int, _Group] = {}
    for one in started:
        for node in one.node.branches:
            found.setdefault(node.end - node.start, []).append((one, node))
    return list(found.values())


class _Scoring:
    """The state of one call of `score`."""

    def __init__(
        self,
        model: PreTrainedModel,
        requests: Sequence[Request],
        *,
        tokens_per_batch: int,
        answered: Callable[[int, TokenScores], None],
    ) -> None:
        self.model, self.requests, self.answered = model, requests, answered
        self.done: dict[int, TokenScores] = {}
        self.numbers = [n for n, request in enumerate(requests) if request.start < len(request.ids)]
        self.open = [_Open(requests[n]) for n in self.numbers]
        self.budget = Budget(tokens_per_batch)
        vocabulary = model.config.get_text_config().vocab_size
        # Converted to tokens, so one limit covers all costs.
        self.logits_cost = TOKENS_PER_BATCH * vocabulary / LOGITS_PER_BATCH
        self.cache_cost = TOKENS_PER_BATCH / cache_limit(model)

    def run(self, past: DynamicCache | None) -> list[TokenScores]:
        """Score all requests, after one row of keys and values if there is one."""
        for n, request in enumerate(self.requests):
            if request.start >= len(request.ids):
                self._answer(n, TokenScores([], [], []))
        with evaluating(self.model):
            root = build([self.requests[n] for n in self.numbers], shares=shares_cache(self.model))
            if past is not None:
                self._all_after([_Started(root, 0, past, 0)])
            else:
                self.budget.run(root.rows, self._alone, cost=lambda row: self._cost(row, 0, row.end))
                self.budget.run(root.branches, self._begin, cost=lambda node: self._cost(node, 0, node.end))
        return [self.done[n] for n in range(len(self.requests))]

    def _alone(self, rows: Sequence[Row]) -> None:
        wanted = [self._wanted(row.requests, 0, row.end) for row in rows]
        logits = forward(self.model, [row.ids for row in rows], wanted)
        self._fill(logits, [row.requests for row in rows], wanted)

    def _begin(self, nodes: Sequence[Node]) -> None:
        """Read prefixes in one batch, and what follows them."""
        past = new_cache(self.model)
        wanted = [self._wanted(node.requests, 0, node.end) for node in nodes]
        longest = max(node.end for node in nodes)
        pads = [longest - node.end for node in nodes]
        segments = [node.ids[: node.end] for node in nodes]
        logits = forward(self.model, segments, wanted, past=past, pads=pads, left=True)
        self._fill(logits, [node.requests for node in nodes], wanted)
        del logits
        self._all_after([_Started(node, n, past, pads[n]) for n, node in enumerate(nodes)])

    def _all_after(self, started: Sequence[_Started]) -> None:
        """Read everything that follows the prefixes in one cache."""
        self._after(started)
        waiting = _groups(started)
        deeper: list[_Group] = []
        while waiting:
            rest = self.budget.first(
                waiting.pop(), lambda group: deeper.extend(self._branch(group)), cost=self._cost_after
            )
            # What lies deeper comes first, so that few caches are alive at once.
            waiting += [*([rest] if rest else []), *deeper]
            deeper.clear()

    def _branch(self, group: Sequence[tuple[_Started, Node]]) -> list[_Group]:
        """Read longer prefixes in one batch and the rows that follow; return the prefixes longer still."""
        past = self._follow(group)
        started = [_Started(node, n, past, one.pads) for n, (one, node) in enumerate(group)]
        self._after(started)
        return _groups(started)

    def _after(self, started: Sequence[_Started]) -> None:
        """Read the rows that follow the prefixes in one cache."""
        rows = [(one, row) for one in started for row in one.node.rows]
        self.budget.run(rows, self._follow, cost=self._cost_after)

    def _follow(self, items: Sequence[tuple[_Started, Row | Node]]) -> DynamicCache:
        """Read what follows prefixes in one cache, in one batch; return the cache that it fills."""
        past = rows_of(items[0][0].past, [one.row for one, _ in items], device=self.model.device)
        places = [(one.node.end, item) for one, item in items]
        wanted = [self._wanted(item.requests, start, item.end) for start, item in places]
        logits = forward(
            self.model,
            [item.ids[start : item.end] for start, item in places],
            [[n - start for n in numbers] for (start, _), numbers in zip(places, wanted, strict=True)],
            past=past,
            pads=[one.pads for one, _ in items],
        )
        self._fill(logits, [item.requests for _, item in items], wanted)
        return past

    def _cost_after(self, item: tuple[_Started, Row | Node]) -> float:
        past, start = item[0].past, item[0].node.end
        copied = bytes_per_token(past) * self.cache_cost * past.get_seq_length()
        return self._cost(item[1], start, item[1].end) + copied

    def _cost(self, item: Row | Node, start: int, end: int) -> float:
        return end - start + self.logits_cost * len(self._wanted(item.requests, start, end))

    def _wanted(self, requests: Sequence[int], start: int, end: int) -> list[int]:
        """Return the positions in a range whose next token is scored by a request."""
        found = set[int]()
        for n in requests:
            first = self.open[n].first
            found.update(range(max(start, first), min(end, first + len(self.open[n].targets))))
        return sorted(found)

    def _fill(self, logits: Any, requests: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> None:
        """Store the scores that the logits give for the requests of each row."""
        tokens = []
        before = 0
        for numbers, places in zip(requests, wanted, strict=True):
            index = {place: before + n for n, place in enumerate(places)}
            for number in numbers:
                one = self.open[number]
                tokens += [
                    (index[one.first + n], number, n, target)
                    for n, target in enumerate(one.targets)
                    if one.first + n in index
                ]
            before += len(places)
        tokens.sort()
        picked = pick(logits, [token[0] for token in tokens], [token[3] for token in tokens])
        for (_, number, n, _), values in zip(tokens, zip(*picked, strict=True), strict=True):
            self.open[number].found[n] = values
        for number in dict.fromkeys(token[1] for token in tokens):
            if all(values is not None for values in self.open[number].found):
                found = [list(values) for values in zip(*self.open[number].found, strict=True)]
                self._answer(self.numbers[number], TokenScores(found[0], found[1], found[2]))

    def _answer(self, number: int, scores: TokenScores) -> None:
        if number not in self.done:
            self.done[number] = scores
            self.answered(number, scores)


def text_logprobs(
    model: PreTrainedModel,
    prompts: Prompts,
    pairs: Sequence[Scored],
    *,
    prefix: Prefix | None = None,
    between: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """Return the log-probability of each text given its context, in nats, shape (pairs,).

    Outputs, as `Prompts` writes them, include their end-of-turn token.

    Args:
        model: Any causal language model, on any device.
        prompts: The writer of the prompts, of any format.
        pairs: Contexts with the texts that follow them.
        prefix: See `engine.score`.
        between: Called every few texts while they are tokenized; what it raises gives up all.

    Raises:
        UserError: If a text is longer than the model's context.
    """
    contexts = list(dict.fromkeys(pair.context for pair in pairs))
    read = dict(zip(contexts, _ids(prompts, contexts, between=between), strict=True))
    requests, leads = [], dict[str, Request]()
    wholes = _ids(prompts, [pair.context + pair.output for pair in pairs], between=between)
    for pair, ids in zip(pairs, wholes, strict=True):
        start = len(read[pair.context])
        if ids[:start] != read[pair.context]:
            # A token spans context and text: score the context's end with the text, and subtract it alone.
            bare, _ = prompts.split(pair.context)
            start = len(_ids(prompts, [bare], between=between)[0])
            leads[pair.context] = Request(read[pair.context], start)
        requests.append(Request(ids, start))
    answers = score(model, [*requests, *leads.values()], prefix=prefix)
    totals = np.array([one[0] for one in answers])
    alone = dict(zip(leads, totals[len(pairs) :], strict=True))
    return totals[: len(pairs)] - np.array([alone.get(pair.context, 0.0) for pair in pairs])


def _ids(prompts: Prompts, texts: Sequence[str], *, between: Callable[[], object]) -> list[list[int]]:
    found = list[list[int]]()
    for n in range(0, len(texts), TEXTS_AT_ONCE):
        between()
        block: Any = prompts.tokenizer(list(texts[n : n + TEXTS_AT_ONCE]), add_special_tokens=False)
        found += block["input_ids"]
    return found
