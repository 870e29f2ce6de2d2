"""Measure a model on the tiny world: exactly known distributions, none of them seen in training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.console import on_terminal
from spectrum_trl.metrics.diversity import clean, exact, expected_yield, summarise
from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import PlainTemplate, Prompts, Scored
from spectrum_trl.scoring.draw import Limits, draw
from spectrum_trl.scoring.score import text_logprobs
from spectrum_trl.suite.sequences.builders import description_message, iid, pair
from spectrum_trl.suite.task import Message
from spectrum_trl.tiny.evaluation_items import SAMPLES, HeldPart, Sequences, evaluation_items, probabilities
from spectrum_trl.tiny.scores import InContext, Sampling, TinyResult, Urns
from spectrum_trl.tiny.world.worlds import World

# Longer than any held-out answer, in any tokenizer that reads numbers digit by digit.
MAX_NEW_TOKENS = 12
# Samples stored to be shown.
SHOWN = 3
# The end of a chat prompt without an input, see `prompts.formats`.
QUESTION = "Generate."


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int = 0,
    part: HeldPart = "evaluation",
    fmt: Format = "spectrum",
    wording: str = "{}",
    plain: PlainTemplate = "colon",
    show_progress: bool = False,
) -> TinyResult:
    """Measure a model; the same seed gives the same items for every model.

    Args:
        model: Any causal language model, on any device.
        tokenizer: Its tokenizer.
        seed: Non-negative seed of the worlds and the samples.
        part: The held-out part: ``evaluation``, or ``choice`` for choosing settings.
        fmt: Format of the prompts.
        wording: How a prompt states a description; ``{}`` is replaced by it.
        plain: Plain-text template for the format ``colon``.
        show_progress: Whether to show a progress bar.

    Raises:
        UserError: If the tokenizer does not support the format, or the model's context is too short.
    """
    items, prompts = evaluation_items(seed, part=part), Prompts(tokenizer, fmt=fmt, plain=plain)
    disable = not (show_progress and on_terminal())
    with Progress(console=Console(stderr=True), disable=disable, transient=True) as progress:
        done = progress.add_task("measuring", total=6)
        urn = _urns(model, prompts, items.urns, wording=wording)
        progress.advance(done)
        found: dict[str, Any] = {}
        for kind in ("coin", "die", "number"):
            found[kind] = _in_context(model, prompts, getattr(items, kind), wording=wording)
            progress.advance(done)
        for number, (kind, worlds) in enumerate((("urns", items.full_urns), ("ranges", items.ranges))):
            found[kind] = _sampling(model, prompts, worlds, seed=(seed, number), wording=wording)
            progress.advance(done)
    return TinyResult(seed=seed, fmt=fmt, part=part, urn=urn, **found)


def _described(world: World, wording: str) -> list[Message]:
    return [description_message(wording.format(world.description))]


def _urns(model: PreTrainedModel, prompts: Prompts, urns: Sequence[World], *, wording: str) -> Urns:
    exact_shares = [probabilities(world) for world in urns]
    pairs = [
        Scored(context, prompts.answer(text))
        for world, shares in zip(urns, exact_shares, strict=True)
        for context in [prompts.prompt(_described(world, wording))]
        for text in shares
    ]
    observed = np.exp(_logprobs(model, prompts, pairs))
    ends = np.cumsum([len(shares) for shares in exact_shares])
    return Urns(
        exact=[list(shares.values()) for shares in exact_shares],
        observed=[part.tolist() for part in np.split(observed, ends)[:-1]],
    )


def _in_context(model: PreTrainedModel, prompts: Prompts, drawn: Sequences, *, wording: str) -> InContext:
    pairs = [
        scored
        for outputs, description in zip(drawn.outputs, drawn.descriptions, strict=True)
        for scored in prompts.outputs(_turns(outputs, wording.format(description), fmt=prompts.fmt))
    ]
    losses: NDArray[np.float64] = -_logprobs(model, prompts, pairs)
    rows = np.split(losses, len(drawn.outputs))
    return InContext([row.tolist() for row in rows], drawn.optimal.tolist())


def _turns(outputs: Sequence[str], description: str, *, fmt: Format) -> list[Message]:
    if not fmt.startswith("chat"):
        return iid(outputs, description=description)
    # A chat model answers questions; the same question each time makes every context a prefix of the next.
    turns = [turn for output in outputs for turn in pair(QUESTION, output)]
    return [description_message(description), *turns]


def _sampling(
    model: PreTrainedModel, prompts: Prompts, worlds: Sequence[World], *, seed: tuple[int, int], wording: str
) -> Sampling:
    """Sample, and count valid answers: possible ones, in any surrounding white space, that end their turn."""
    shares = [probabilities(world) for world in worlds]
    drawn = [
        _drawn(model, prompts, prompts.prompt(_described(world, wording)), seed=(*seed, number))
        for number, world in enumerate(worlds)
    ]
    summaries = [
        summarise([text or "" for text in texts], [text in p for text in texts])
        for p, texts in zip(shares, drawn, strict=True)
    ]
    return Sampling(
        descriptions=[world.description for world in worlds],
        n=SAMPLES,
        share_valid=[one.share_valid for one in summaries],
        share_unique=[one.share_unique for one in summaries],
        yield_count=[one.yield_count for one in summaries],
        collision=[one.collision for one in summaries],
        exact_collision=[sum(share**2 for share in p.values()) for p in shares],
        answers=[len(p) for p in shares],
        exact_unique=[
            exact(list(p.values()), n_valid=round(one.share_valid * SAMPLES)).share_unique
            for p, one in zip(shares, summaries, strict=True)
        ],
        exact_yield=[expected_yield(list(p.values()), n=SAMPLES) for p in shares],
        first=[["…" if text is None else text for text in texts[:SHOWN]] for texts in drawn],
    )


def _logprobs(model: PreTrainedModel, prompts: Prompts, pairs: Sequence[Scored]) -> NDArray[np.float64]:
    """Return log-probabilities of outputs; in plain text one may end its paragraph or the whole text."""
    if prompts.fmt != "colon":
        return text_logprobs(model, prompts, pairs)
    end = str(prompts.tokenizer.eos_token)
    ended = [Scored(pair.context, pair.output.removesuffix(prompts.end) + end) for pair in pairs]
    # Scored together, so each context is read only once.
    found = text_logprobs(model, prompts, [*pairs, *ended])
    return np.logaddexp(found[: len(pairs)], found[len(pairs) :])


def _drawn(
    model: PreTrainedModel, prompts: Prompts, context: str, *, seed: tuple[int, ...]
) -> list[str | None]:
    """Return samples after a context, None for each that does not end its turn."""
    tokenizer = prompts.tokenizer
    ids = tokenizer(context, add_special_tokens=False)["input_ids"]
    # In plain text a sample ends with its line, or with the whole text.
    stops = ("\n", str(tokenizer.eos_token)) if prompts.fmt == "colon" else (prompts.end,)
    end: Any = tokenizer.convert_tokens_to_ids(stops[-1])
    texts = draw(
        model,
        ids,
        # Prompts must not share a seed: the same random numbers would make their samples dependent.
        seeds=[(*seed, number) for number in range(SAMPLES)],
        limits=Limits(MAX_NEW_TOKENS, ends=(end,)),
    )
    decoded = [
        str(tokenizer.decode(one, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        for one in texts
    ]
    return [clean(text, stops=stops) if any(stop in text for stop in stops) else None for text in decoded]
