"""Results of the tiny evaluation for one model, and their file."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, PositiveInt, TypeAdapter

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.metrics import icl
from spectrum_trl.metrics.distributional import Comparison, compare
from spectrum_trl.strict.json import read_json

Numbers = Annotated[list[FiniteFloat], Field(min_length=1)]
Rows = Annotated[list[Numbers], Field(min_length=1)]


class Urns(NamedTuple):
    """Probabilities of the labels in described urns; one entry per urn.

    Attributes:
        exact: The true shares, one list per urn.
        observed: The model's probabilities of the same labels, each including the end of turn, in [0, 1].
    """

    exact: Rows
    observed: Rows

    def compared(self) -> list[Comparison]:
        """Return the comparison of shares among the labels, one per urn."""
        return [compare(p, q) for p, q in zip(self.exact, self.observed, strict=True)]

    def js_divergence(self) -> NDArray[np.float64]:
        """Return divergences in nats, shape (urns,); they mean little where ``coverage`` is small."""
        return np.array([one.js_divergence for one in self.compared()])

    def slopes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums whose ratio is the slope of the model's shares on the true ones.

        The slope is 1 for a model that reads the counts, and 0 for one whose shares are even.

        Returns:
            Two arrays of shape (urns,): the sum of products of the model's and the true deviations from the
            even share, and the sum of squares of the true ones; 0 if all shares are equal.
        """
        products, squares = [], []
        for p, q in zip(map(np.array, self.exact), map(np.array, self.observed), strict=True):
            true, found = p - 1 / p.size, q / max(q.sum(), np.finfo(float).tiny) - 1 / p.size
            # Equal shares are rounded in a recorded result.
            uneven = (true**2).sum() > 1e-6
            products.append(float((true * found).sum()) if uneven else 0.0)
            squares.append(float((true**2).sum()) if uneven else 0.0)
        return np.array(products), np.array(squares)

    def proportions(self) -> list[str]:
        """Return each urn's sorted shares as text: urns with equal shares are not independent."""
        return [" ".join(f"{share:.4f}" for share in sorted(p)) for p in self.exact]


class InContext(NamedTuple):
    """Losses of samples from a hidden distribution; one row per sequence, one column per output, in nats.

    Attributes:
        losses: Losses of the model.
        optimal: Losses of the Bayes-optimal predictor.
    """

    losses: Rows
    optimal: Rows

    def excess(self, positions: slice = slice(None)) -> NDArray[np.float64]:
        """Return the mean loss above optimal of each sequence, in nats, shape (sequences,)."""
        return icl.excess(self.losses, self.optimal, positions=positions)


class Sampling(NamedTuple):
    """Samples of described distributions of one kind; one entry per prompt.

    Attributes:
        descriptions: The prompts.
        n: Samples per prompt.
        share_valid: Share of samples that are possible answers, in [0, 1].
        share_unique: Share of distinct samples among the valid ones, in [0, 1].
        yield_count: Number of distinct valid samples.
        collision: Probability that two valid samples agree, in [0, 1]; high for a collapsed model.
        exact_collision: The same for an exact sampler.
        answers: Number of possible answers.
        exact_unique: Expected ``share_unique`` of an exact sampler with as many valid samples.
        exact_yield: Expected ``yield_count`` of an exact sampler with ``n`` samples.
        first: The first few samples of each prompt, in order.
    """

    descriptions: list[str]
    n: PositiveInt
    share_valid: Numbers
    share_unique: Numbers
    yield_count: list[int]
    collision: Numbers
    exact_collision: Numbers
    answers: list[PositiveInt]
    exact_unique: Numbers
    exact_yield: Numbers
    first: list[list[str]]

    def worlds(self) -> list[str]:
        """Return the numbers in each prompt: prompts that differ in wording alone are not independent."""
        return [" ".join(re.findall(r"[0-9]+", text)) for text in self.descriptions]


class TinyResult(NamedTuple):
    """The measurements of one model.

    Attributes:
        seed: Seed of the worlds and the samples.
        fmt: Format of the prompts.
        part: The held-out part: ``evaluation``, or ``choice`` for choosing settings.
        urn: Reading counts as probabilities.
        coin: Learning two labels' probabilities from samples.
        die: The same for three to five labels.
        number: Learning the location and spread of numbers.
        urns: Drawing from urns.
        ranges: Drawing from ranges of numbers.
    """

    seed: int
    fmt: str
    part: Literal["evaluation", "choice"]
    urn: Urns
    coin: InContext
    die: InContext
    number: InContext
    urns: Sampling
    ranges: Sampling


def measured_on(result: TinyResult) -> tuple[object, ...]:
    """Return what identifies the items of a result; results can be compared only if it is equal."""
    prompts = (*result.urns.descriptions, *result.ranges.descriptions)
    sizes = (len(part.losses) for part in (result.coin, result.die, result.number))
    return result.seed, result.part, prompts, len(result.urn.exact), *sizes


def save(result: TinyResult, path: str | Path) -> None:
    """Write a result as JSON, atomically."""
    write_json(as_json(result), Path(path))


def load(path: str | Path) -> TinyResult:
    """Read a result written by `save`.

    Raises:
        UserError: If there is no such file, or it is not a result.
    """
    try:
        result = TypeAdapter(TinyResult).validate_python(read_json(Path(path)))
        _check_lengths(result)
        return result
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected a result of `spectrum-trl tiny`") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(
            f"{path}: not a result of this version's `spectrum-trl tiny`; run that again"
        ) from error


def as_json(value: Any) -> Any:
    """Convert a result to mappings and lists."""
    if not hasattr(value, "_asdict"):
        return value
    return {key: as_json(part) for key, part in value._asdict().items()}


def _check_lengths(result: TinyResult) -> None:
    """Raise ValueError for lists about the same items that differ in length."""
    in_context, samples = (result.coin, result.die, result.number), (result.urns, result.ranges)
    groups: list[Sequence[Any]] = [
        *([field for field in part if isinstance(field, list)] for part in (*in_context, *samples)),
        *([*part.losses, *part.optimal] for part in in_context),
        *zip(result.urn.exact, result.urn.observed, strict=True),
    ]
    if any(len({len(one) for one in group}) > 1 for group in groups):
        raise ValueError("lists of different lengths")
