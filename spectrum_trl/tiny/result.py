"""What the tiny evaluation finds of one model, and the file that keeps it."""

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_json
from spectrum_trl.metrics import icl
from spectrum_trl.metrics.distributional import Comparison, compare


class Urns(NamedTuple):
    """Probabilities of the labels that a described urn holds; one entry per urn.

    Attributes:
        exact: The true shares, one list per urn.
        observed: The model's probabilities of the same labels, each with its end of turn, in [0, 1].
    """

    exact: list[list[float]]
    observed: list[list[float]]

    def compared(self) -> list[Comparison]:
        """Return each urn's comparison of shares among its labels."""
        return [compare(p, q) for p, q in zip(self.exact, self.observed, strict=True)]

    def js_divergence(self) -> NDArray[np.float64]:
        """Return divergences in nats, shape (urns,); they mean little where ``coverage`` is small."""
        return np.array([one.js_divergence for one in self.compared()])

    def slopes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sums whose ratio is the slope of the model's shares on the true ones.

        The slope is 1 for a model that reads the counts, and 0 for one that spreads evenly.

        Returns:
            Per urn the sum of products of both deviations from the even share, and that of squares of the
            true ones, shape (urns,) twice; 0 where all shares are equal.
        """
        products, squares = [], []
        for p, q in zip(map(np.array, self.exact), map(np.array, self.observed), strict=True):
            true, found = p - 1 / p.size, q / max(q.sum(), np.finfo(float).tiny) - 1 / p.size
            # A record has rounded equal shares.
            uneven = (true**2).sum() > 1e-6
            products.append(float((true * found).sum()) if uneven else 0.0)
            squares.append(float((true**2).sum()) if uneven else 0.0)
        return np.array(products), np.array(squares)

    def proportions(self) -> list[str]:
        """Return each urn's shares in order of size, as text: urns of the same ones are one question."""
        return [" ".join(f"{share:.4f}" for share in sorted(p)) for p in self.exact]


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
    """Samples of described distributions of one kind; one entry per prompt.

    Attributes:
        descriptions: The prompts.
        n: Samples per prompt.
        share_valid: Samples that are possible answers, in [0, 1].
        share_unique: Different ones among the valid samples, in [0, 1].
        yield_count: Number of different valid samples.
        collision: Chance that two valid samples agree, in [0, 1]; high for a collapsed model.
        exact_collision: The same of an exact sampler.
        answers: Number of possible answers.
        exact_unique: The mean of ``share_unique`` for an exact sampler with as many valid samples.
        exact_yield: The mean of ``yield_count`` for an exact sampler with ``n`` samples.
        first: The first few samples of each prompt, as they were drawn.
    """

    descriptions: list[str]
    n: int
    share_valid: list[float]
    share_unique: list[float]
    yield_count: list[int]
    collision: list[float]
    exact_collision: list[float]
    answers: list[int]
    exact_unique: list[float]
    exact_yield: list[float]
    first: list[list[str]]

    def worlds(self) -> list[str]:
        """Return the numbers in each prompt: prompts that differ in wording alone are not independent."""
        return [" ".join(re.findall(r"[0-9]+", text)) for text in self.descriptions]


class TinyResult(NamedTuple):
    """One model's measurements.

    Attributes:
        seed: Of the worlds and the samples.
        fmt: Format of the prompts.
        part: What was measured on: what is evaluated, or what settings are chosen on.
        urn: Reading counts as probabilities.
        coin: Learning two labels' probabilities from samples.
        die: The same for three to five labels.
        number: Learning where numbers lie and how far they spread.
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
    """Return what tells apart the items that results were measured on; only equal ones can be compared."""
    prompts = (*result.urns.descriptions, *result.ranges.descriptions)
    sizes = (len(part.losses) for part in (result.coin, result.die, result.number))
    return result.seed, result.part, prompts, len(result.urn.exact), *sizes


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
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValidationError, ValueError) as error:
        raise UserError(
            f"{path}: not a result of this version's `spectrum-trl tiny`; run that again"
        ) from error


def as_json(value: Any) -> Any:
    """Return a result as mappings and lists."""
    if not hasattr(value, "_asdict"):
        return value
    return {key: as_json(part) for key, part in value._asdict().items()}


def _check_lengths(result: TinyResult) -> None:
    """Refuse lists of numbers that are empty, of different lengths, or not finite."""
    groups = [
        *(
            [
                *(part.share_valid, part.share_unique, part.yield_count, part.collision),
                *(part.exact_collision, part.answers, part.exact_unique, part.exact_yield),
            ]
            for part in (result.urns, result.ranges)
        ),
        *([*part.losses, *part.optimal] for part in (result.coin, result.die, result.number)),
        *zip(result.urn.exact, result.urn.observed, strict=True),
    ]
    sizes = [(len(part.losses), len(part.optimal)) for part in (result.coin, result.die, result.number)]
    sizes += [(len(result.urn.exact), len(result.urn.observed))]
    sizes += [(len(part.descriptions), len(part.first)) for part in (result.urns, result.ranges)]
    sizes += [(len(part.descriptions), len(part.answers)) for part in (result.urns, result.ranges)]
    if any(one != other or not one for one, other in sizes):
        raise ValueError("lists of different lengths, or empty ones")
    for part in (result.urns, result.ranges):
        if part.n < 1 or min(part.answers) < 1:
            raise ValueError("samples and answers are at least 1")
    for lists in groups:
        values = np.array(lists, dtype=float)
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            raise ValueError("lists of different lengths, or numbers that are not finite")
