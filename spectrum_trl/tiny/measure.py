"""Measure a model on the tiny world: distributions known exactly, none of them seen in tuning."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import Progress
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.metrics import icl
from spectrum_trl.metrics.distributional import compare
from spectrum_trl.metrics.diversity import expected_yield, summarise
from spectrum_trl.progress import on_terminal
from spectrum_trl.scoring.sample import sample
from spectrum_trl.scoring.score import candidate_logprobs, output_losses
from spectrum_trl.suite.builders import description_message, iid
from spectrum_trl.tiny.evaluation_items import SAMPLES, Sequences, evaluation_items, probabilities
from spectrum_trl.tiny.world.worlds import World

# Longer than any held-out answer in any tokenizer that reads numbers digit by digit.
MAX_NEW_TOKENS = 12


class Urns(NamedTuple):
    """Probabilities of the labels that a described urn holds; one entry per urn.

    Attributes:
        js_divergence: From the exact probabilities, in nats, in [0, ln 2]; of the shares among the labels, so
            that it means little where ``coverage`` is small.
        coverage: The model's probability of all labels together, in [0, 1].
    """

    js_divergence: list[float]
    coverage: list[float]


class InContext(NamedTuple):
    """Losses of samples from a hidden distribution; one row per sequence, one column per output, in nats.

    Attributes:
        losses: The model's.
        optimal: The Bayes-optimal predictor's.
    """

    losses: list[list[float]]
    optimal: list[list[float]]

    def excess(self, positions: slice = slice(None)) -> NDArray[np.float64]:
        """Return each sequence's mean loss above the optimal one, in nats, shape (sequences,)."""
        return icl.excess(self.losses, self.optimal, positions=positions)


class Sampling(NamedTuple):
    """Samples of described distributions; one entry per prompt.

    Attributes:
        descriptions: The prompts.
        n: Samples per prompt.
        share_valid: Samples that are possible answers, in [0, 1].
        share_unique: Different ones among the valid samples, in [0, 1].
        yield_count: Number of different valid samples.
        exact_yield: The mean of ``yield_count`` for an exact sampler.
    """

    descriptions: list[str]
    n: int
    share_valid: list[float]
    share_unique: list[float]
    yield_count: list[int]
    exact_yield: list[float]


class TinyResult(NamedTuple):
    """One model's measurements.

    Attributes:
        seed: Of the worlds and the samples.
        urn: Reading counts as probabilities.
        coin: Learning two labels' probabilities from samples.
        die: The same for three to five labels.
        number: Learning where numbers lie and how far they spread.
        sampling: Drawing from urns and ranges of numbers.
    """

    seed: int
    urn: Urns
    coin: InContext
    die: InContext
    number: InContext
    sampling: Sampling


def evaluate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, seed: int = 0, show_progress: bool = False
) -> TinyResult:
    """Measure a model; two models measured with the same seed are measured on the same items.

    Args:
        model: Any causal language model, on any device.
        tokenizer: Its tokenizer, with the Spectrum template.
        seed: Of the worlds and the samples, not negative.
        show_progress: Whether to show a bar.

    Raises:
        UserError: If the tokenizer lacks the Spectrum template or the model's context is too short.
    """
    items = evaluation_items(seed)
    disable = not (show_progress and on_terminal())
    with Progress(console=Console(stderr=True), disable=disable, transient=True) as progress:
        done = progress.add_task("measuring", total=4 + len(items.prompts))
        urn = _urns(model, tokenizer, items.urns)
        progress.advance(done)
        in_context = {}
        for kind in ("coin", "die", "number"):
            in_context[kind] = _in_context(model, tokenizer, getattr(items, kind))
            progress.advance(done)
        drawn = []
        for index, world in enumerate(items.prompts):
            prompt = [description_message(world.description)]
            # Prompts must not share their seed: the same random numbers would make their samples dependent.
            stream = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
            drawn.append(
                sample(model, tokenizer, prompt, n=SAMPLES, seed=stream, max_new_tokens=MAX_NEW_TOKENS)
            )
            progress.advance(done)
    sampling = _sampling(items.prompts, [[s.text if s.ended else None for s in samples] for samples in drawn])
    return TinyResult(seed=seed, urn=urn, sampling=sampling, **in_context)


def save(result: TinyResult, path: str | Path) -> None:
    """Write a result as JSON, replacing the file only when all of it is written."""
    write_json(as_json(result), Path(path))


def load(path: str | Path) -> TinyResult:
    """Read a result that `save` wrote.

    Raises:
        UserError: If there is no such file, or it holds something else.
    """
    try:
        result = TypeAdapter(TinyResult).validate_json(Path(path).read_text(encoding="utf-8"))
        _check_lengths(result)
        return result
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected a result of `spectrum-trl tiny`") from error
    except (ValidationError, ValueError) as error:
        raise UserError(
            f"{path}: not a result of this version's `spectrum-trl tiny`; run that again"
        ) from error


def _check_lengths(result: TinyResult) -> None:
    """Refuse lists of numbers that are empty, of different lengths, or not finite."""
    urn, sampling = result.urn, result.sampling
    groups = [
        [urn.js_divergence, urn.coverage],
        [sampling.share_valid, sampling.share_unique, sampling.yield_count, sampling.exact_yield],
        *([*part.losses, *part.optimal] for part in (result.coin, result.die, result.number)),
    ]
    for lists in groups:
        values = np.array(lists, dtype=float)
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            raise ValueError("lists of different lengths, or numbers that are not finite")


def as_json(value: Any) -> Any:
    """Return a result as mappings and lists."""
    if not hasattr(value, "_asdict"):
        return value
    return {key: as_json(part) for key, part in value._asdict().items()}


def _urns(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, urns: list[World]) -> Urns:
    exact = [probabilities(world) for world in urns]
    prompts = [[description_message(world.description)] for world in urns]
    logs = candidate_logprobs(model, tokenizer, prompts, [list(p) for p in exact])
    compared = [compare(list(p.values()), np.exp(q)) for p, q in zip(exact, logs, strict=True)]
    return Urns(
        js_divergence=[one.js_divergence for one in compared],
        coverage=[one.coverage for one in compared],
    )


def _in_context(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sequences: Sequences
) -> InContext:
    conversations = [
        iid(outputs, description=description)
        for description, outputs in zip(sequences.descriptions, sequences.outputs, strict=True)
    ]
    losses = output_losses(model, tokenizer, conversations)
    return InContext([row.tolist() for row in losses], sequences.optimal.tolist())


def _sampling(prompts: list[World], drawn: list[list[str | None]]) -> Sampling:
    """Count what is valid: exactly a possible answer, its turn ended."""
    exact = [probabilities(world) for world in prompts]
    summaries = [
        summarise([text or "" for text in texts], [text in p for text in texts])
        for p, texts in zip(exact, drawn, strict=True)
    ]
    return Sampling(
        descriptions=[world.description for world in prompts],
        n=SAMPLES,
        share_valid=[one.share_valid for one in summaries],
        share_unique=[one.share_unique for one in summaries],
        yield_count=[one.yield_count for one in summaries],
        exact_yield=[expected_yield(list(p.values()), n=SAMPLES) for p in exact],
    )
