"""Find the likeliest whole answers of a model without a list of candidates."""

import heapq
import math
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from spectrum_trl.ask.results import Distribution
from spectrum_trl.ask.samples import ending_of, stripped
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.scoring.forward import (
    Prefix,
    check_lengths,
    check_logits,
    evaluating,
    forward,
    log_softmax,
    read,
    rows_of,
)
from spectrum_trl.scoring.generation import Ending

# Beginnings of answers read in one forward pass.
AT_ONCE = 64


class Limits(NamedTuple):
    """Where a search ends.

    Attributes:
        max_answers: Number of answers.
        min_probability: Beginnings that are less likely are not followed; in (0, 1).
        max_new_tokens: Maximum number of tokens of an answer, its end included.
    """

    max_answers: int
    min_probability: float
    max_new_tokens: int


class _Open(NamedTuple):
    """The beginning of an answer; the likeliest sorts first.

    Attributes:
        cost: Its negative log-probability, in nats.
        ids: Its tokens.
    """

    cost: float
    ids: tuple[int, ...]


def distribution(
    model: PreTrainedModel,
    prompts: Prompts,
    context: str,
    *,
    limits: Limits,
    prefix: Prefix | None = None,
) -> Distribution:
    """Return the likeliest answers, by best-first search over the tree of tokens.

    Every tokenization of an answer that is at least as likely as ``min_probability`` is found. Tokenizations
    of one text are added up, in plain text also those with other white space around it;
    `candidates.probabilities` counts only the one that training uses.

    Args:
        model: Any causal language model.
        prompts: Wrote the context.
        context: The text before the output.
        limits: Where the search ends.
        prefix: The beginning of the context, if it has been read.
    """
    ids = prompts.tokenizer(context, add_special_tokens=False)["input_ids"]
    check_lengths(model, [len(ids)])
    with evaluating(model):
        return _Search(model, prompts, ids, limits, prefix).run()


class _Search:
    """The state of one search."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Prompts,
        prompt: list[int],
        limits: Limits,
        prefix: Prefix | None,
    ) -> None:
        self.model, self.prompts, self.prompt = model, prompts, np.asarray(prompt, dtype=np.uint32)
        self.max_answers, self.highest_cost = limits.max_answers, -math.log(limits.min_probability)
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.longest = min(limits.max_new_tokens, (context or np.inf) - len(prompt) + 1)
        self.ending: Ending = ending_of(prompts)
        self.open = [_Open(0.0, ())]
        self.found: dict[str, list[float]] = {}
        # The last token is read with each beginning, whose first token it predicts.
        before = read(model, prompt[:-1], after=prefix)
        self.past = before.past if before else None

    def run(self) -> Distribution:
        exhausted = True
        while self.open:
            if len(self.found) >= self.max_answers and self._cannot_improve():
                exhausted = False
                break
            batch = [heapq.heappop(self.open) for _ in range(min(AT_ONCE, len(self.open)))]
            for one, logits in zip(batch, self._read(batch), strict=True):
                exhausted &= self._expand(one, logits)
        exhausted &= len(self.found) <= self.max_answers
        best = sorted(((math.fsum(ps), text) for text, ps in self.found.items()), key=lambda one: -one[0])
        best = best[: self.max_answers]
        return Distribution(
            tuple(text for _, text in best),
            tuple(p for p, _ in best),
            min(1.0, math.fsum(p for p, _ in best)),
            exhausted,
        )

    def _cannot_improve(self) -> bool:
        """Return whether the answers found are at least as likely as every answer that may follow."""
        known = sorted((math.fsum(ps) for ps in self.found.values()), reverse=True)
        return known[self.max_answers - 1] >= math.exp(-self.open[0].cost)

    def _read(self, batch: list[_Open]) -> torch.Tensor:
        """Return the logits after each beginning, shape (beginnings, vocabulary)."""
        past, unread = None, self.prompt
        if self.past is not None:
            past, unread = rows_of(self.past, [0] * len(batch), device=self.model.device), self.prompt[-1:]
        segments = [np.append(unread, np.asarray(one.ids, dtype=np.uint32)) for one in batch]
        logits = forward(self.model, segments, [[len(segment) - 1] for segment in segments], past=past)
        check_logits(logits)
        return log_softmax(logits)

    def _expand(self, one: _Open, logits: torch.Tensor) -> bool:
        """Note the answers and beginnings that a beginning leads to; return False if it is too long."""
        likely = (logits >= one.cost - self.highest_cost).nonzero()[:, 0].tolist()
        if not likely:
            return True
        longer = [(*one.ids, token) for token in likely]
        costs = [one.cost - value for value in logits[likely].tolist()]
        complete = True
        for ids, cost, stop in zip(
            longer, costs, self.ending.stopped([list(ids) for ids in longer]), strict=True
        ):
            if stop or ids[-1] in self.ending.ends:
                text = stripped(self.ending.cut(ids), self.prompts)
                self.found.setdefault(text, []).append(math.exp(-cost))
            elif len(ids) < self.longest:
                heapq.heappush(self.open, _Open(cost, ids))
            else:
                complete = False
        return complete
