"""Compute log-probabilities of texts under a transformers model; outputs include their end-of-turn token."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from spectrum_trl.prompts.scored import Prompts, Scored
from spectrum_trl.scoring.engine import score
from spectrum_trl.scoring.prefix import Prefix
from spectrum_trl.scoring.tree import Request


def text_logprobs(
    model: PreTrainedModel, prompts: Prompts, pairs: Sequence[Scored], *, prefix: Prefix | None = None
) -> NDArray[np.float64]:
    """Return the log-probability of each text given its context, in nats, shape (pairs,).

    Args:
        model: Any causal language model, on any device.
        prompts: The writer of the prompts, of any format.
        pairs: Contexts with the texts that follow them.
        prefix: See `engine.score`.

    Raises:
        UserError: If a text is longer than the model's context.
    """
    contexts = list(dict.fromkeys(pair.context for pair in pairs))
    read = dict(zip(contexts, _ids(prompts, contexts), strict=True))
    requests, leads = [], dict[str, Request]()
    for pair, ids in zip(pairs, _ids(prompts, [pair.context + pair.output for pair in pairs]), strict=True):
        start = len(read[pair.context])
        if ids[:start] != read[pair.context]:
            # A token spans context and text: score the context's end with the text, and subtract it alone.
            bare, _ = prompts.split(pair.context)
            start = len(_ids(prompts, [bare])[0])
            leads[pair.context] = Request(read[pair.context], start)
        requests.append(Request(ids, start))
    answers = score(model, [*requests, *leads.values()], prefix=prefix)
    totals = np.array([one[0] for one in answers])
    alone = dict(zip(leads, totals[len(pairs) :], strict=True))
    return totals[: len(pairs)] - np.array([alone.get(pair.context, 0.0) for pair in pairs])


def _ids(prompts: Prompts, texts: Sequence[str]) -> list[list[int]]:
    encoded: Any = prompts.tokenizer(list(texts), add_special_tokens=False) if texts else {"input_ids": []}
    return list(encoded["input_ids"])
