"""Samples of the next output, and the likeliest first tokens of it."""

import hashlib
from collections.abc import Sequence

from transformers import PreTrainedModel

from spectrum_trl.ask.results import Sample, Token
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.scoring.draw import Decoding, Limits, draw
from spectrum_trl.scoring.engine import score
from spectrum_trl.scoring.forward import Prefix, log_softmax, read, read_on
from spectrum_trl.scoring.generation import Ending
from spectrum_trl.scoring.tree import Request


def samples(
    model: PreTrainedModel,
    prompts: Prompts,
    context: str,
    *,
    n: int,
    seed: int,
    max_new_tokens: int,
    decoding: Decoding,
    first: int = 0,
    prefix: Prefix | None = None,
) -> list[Sample]:
    """Sample outputs after a context.

    The i-th sample depends on the context, the seed and i alone, not on n.

    Args:
        model: Any causal language model.
        prompts: Wrote the context.
        context: The text before the output.
        n: Number of samples.
        seed: Non-negative.
        max_new_tokens: Maximum number of tokens of an output, its end included.
        decoding: How a token is sampled. Log-probabilities are those of the full distribution all the same.
        first: Number of the first sample.
        prefix: The beginning of the context, if it has been read.
    """
    ids = prompts.tokenizer(context, add_special_tokens=False)["input_ids"]
    ending = ending_of(prompts)
    # Read once, for drawing and for scoring.
    prefix = read(model, ids[:-1], after=prefix)
    drawn = draw(
        model,
        ids,
        seeds=seeds_of(context, seed=seed, n=n, first=first),
        limits=Limits(max_new_tokens, ending.ends, ending.stopped),
        decoding=decoding,
        prefix=prefix,
    )
    scored = score(model, [Request([*ids, *one], len(ids)) for one in drawn], prefix=prefix)
    stopped = ending.stopped(drawn)
    return [
        Sample(
            stripped(ending.cut(one), prompts),
            found[0],
            stop or one[-1] in ending.ends,
        )
        for one, found, stop in zip(drawn, scored, stopped, strict=True)
    ]


def seeds_of(context: str, *, seed: int, n: int, first: int = 0) -> list[tuple[int, int, int]]:
    """Return the seeds of the samples after a context.

    Args:
        context: The text before the output.
        seed: Non-negative.
        n: Number of samples.
        first: Number of the first sample.
    """
    # Equal random numbers would make the samples of different questions dependent.
    digest = int.from_bytes(hashlib.sha256(context.encode()).digest()[:8], "big")
    return [(seed, digest, number) for number in range(first, first + n)]


def ending_of(prompts: Prompts, *, stops: Sequence[str] = ()) -> Ending:
    """Return how the end of an output is detected.

    Args:
        prompts: Writes the outputs.
        stops: Further texts that end an output.
    """
    tokenizer = prompts.tokenizer
    ends = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return Ending(tokenizer, [prompts.end, *stops], ends=ends)


def stripped(text: str, prompts: Prompts) -> str:
    """Return an output without the space that plain text writes before it."""
    return text.strip() if prompts.fmt == "colon" else text


def top_tokens(
    model: PreTrainedModel,
    prompts: Prompts,
    contexts: Sequence[str],
    *,
    k: int,
    prefix: Prefix | None = None,
) -> list[list[Token]]:
    """Return the likeliest first tokens of the next output, the likeliest first.

    Args:
        model: Any causal language model.
        prompts: Wrote the contexts.
        contexts: Texts before the output.
        k: Number of tokens, at most the vocabulary's.
        prefix: The beginning of the contexts, if it has been read.
    """
    tokenizer, found = prompts.tokenizer, []
    for context in contexts:
        ids = tokenizer(context, add_special_tokens=False)["input_ids"]
        _, logits = read_on(model, ids, after=prefix)
        best = log_softmax(logits)[0].exp().topk(min(k, logits.shape[1]))
        texts = tokenizer.batch_decode([[token] for token in best.indices.tolist()])
        found.append(
            [
                Token(text, token, p)
                for text, token, p in zip(texts, best.indices.tolist(), best.values.tolist(), strict=True)
            ]
        )
    return found
