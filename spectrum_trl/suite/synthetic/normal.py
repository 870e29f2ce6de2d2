"""Rounded draws from normal distributions of widely different scales."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import scipy

from spectrum_trl.console import counted
from spectrum_trl.errors import refuse
from spectrum_trl.suite.randomness import sequence_length
from spectrum_trl.suite.sequences.generators import Draw, drawn
from spectrum_trl.suite.task import Distribution

# Digits that a double represents reliably; more would print artefacts of the binary representation.
SIGNIFICANT_DIGITS = 15
# Cells narrower than this many sd: density times width is exact to 1e-8, differences of the cdf are not.
NARROW = 1e-4

_PARAMETERS = (
    "Normal distribution with mean {mean} and standard deviation {sd}",
    "Numbers that scatter around {mean} in a bell curve (sd {sd}).",
    "Normal(mean={mean}, sd={sd})",
)
_FAMILY = ("Normally distributed numbers", "Draws of one Gaussian")
_NUMBERS = ("Numbers", "Measurements of some kind, as decimal numbers")
_DECIMALS = ("{}, to {} decimals", "{} [decimals: {}]")


def written(value: float, *, decimals: int) -> str:
    """Write a number with a fixed number of decimals; zero never has a sign."""
    return f"{value:z.{decimals}f}"


def predictive(outputs: Sequence[str], *, mean: float, sd: float, decimals: int) -> Distribution:
    """Return the distribution of the next rounded number, given mean, sd and decimals.

    There is none for hidden parameters: the prior is a mixture over scales from exp(-10) to exp(10) and
    beyond with no closed form, and no grid covers it evenly.

    Args:
        outputs: Numbers seen so far; they add no information to the parameters, but are checked.
        mean: Mean.
        sd: Standard deviation, at least 0; 0 puts all probability on the rounded mean.
        decimals: Number of decimals of the outputs, at least 0.

    Returns:
        Probability that a draw rounds to a text; infinitely many texts (one if sd is 0).

    Raises:
        UserError: If an output is not a number with that many decimals.
    """
    refuse(
        f"output {place} is {text!r}: expected a number with {counted(decimals, 'decimal')}"
        for place, text in enumerate(outputs, start=1)
        if _value(text, decimals=decimals) is None
    )
    if sd == 0:
        only = written(mean, decimals=decimals)
        return Distribution(lambda text: float(text == only), (only,))

    def pmf(text: str) -> float:
        value = _value(text, decimals=decimals)
        if value is None:
            return 0.0
        # Both tails as lower tails, where the cdf keeps its relative precision.
        distance, width = -abs(value - mean), 10.0**-decimals
        if width / sd < NARROW:
            return float(scipy.stats.norm.pdf(distance / sd) * width / sd)
        return float(
            scipy.stats.norm.cdf((distance + width / 2) / sd)
            - scipy.stats.norm.cdf((distance - width / 2) / sd)
        )

    return Distribution(pmf, None)


def _value(text: str, *, decimals: int) -> float | None:
    """Parse text from :func:`written`; return None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and written(value, decimals=decimals) == text else None


def parameters(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a mean and a standard deviation from the mixture of the research code.

    If a Poisson(20) draw is 0 (2e-9 of the draws), so is the sd; it then stays 0 instead of being inverted.
    """
    kind = rng.random()
    mean, sd = rng.uniform(0, 100), rng.uniform(1, 5)
    if kind < 0.2:
        mean, sd = mean * math.exp(rng.normal(0, 4)), sd * math.exp(rng.normal(0, 3))
    elif kind < 0.4:
        mean, sd = float(rng.poisson(10)), float(rng.poisson(20))
        mean = -mean if rng.random() < 0.5 else mean
        sd = 1 / sd if rng.random() < 0.5 and sd > 0 else sd
    scale = math.exp(rng.uniform(-10, 10))
    return mean * scale, sd * scale


def _printed(rng: np.random.Generator, *, mean: float, sd: float) -> tuple[str, str]:
    """Print mean and sd: fixed point if that is short and keeps a digit of both, else scientific."""
    places = int(rng.integers(1, 6))
    fixed = written(mean, decimals=places), written(sd, decimals=places)
    legible = all(float(text) or not value for text, value in zip(fixed, (mean, sd), strict=True))
    if legible and max(abs(mean), sd) < 1e9 and rng.random() < 0.7:
        return fixed
    return f"{mean:z.{places}e}", f"{sd:.{places}e}"


def sample(rng: np.random.Generator) -> Draw:
    """Draw parameters, a template, and L(128) numbers with 1 + Poisson(3) decimals.

    Mean and sd are rounded as printed before the numbers are drawn. Decimals that a double cannot represent
    at this scale are left out.
    """
    mean, sd = parameters(rng)
    kind = int(rng.choice(3, p=(0.6, 0.2, 0.2)))
    template = str(rng.choice((_PARAMETERS, _FAMILY, _NUMBERS)[kind]))
    if kind == 0:
        texts = _printed(rng, mean=mean, sd=sd)
        template = template.format(mean=texts[0], sd=texts[1])
        mean, sd = map(float, texts)
    largest = max(abs(mean) + 6 * sd, 1.0)
    decimals = max(0, min(1 + int(rng.poisson(3)), SIGNIFICANT_DIGITS - math.ceil(math.log10(largest))))
    known = rng.random() < 0.5
    description = str(rng.choice(_DECIMALS)).format(template, decimals) if known else template
    numbers = rng.normal(mean, sd, sequence_length(rng, mean=128))
    exact = partial(predictive, mean=mean, sd=sd, decimals=decimals) if kind == 0 and known else None
    return Draw(description, [written(x, decimals=decimals) for x in numbers.tolist()], exact)


TASKS = (
    drawn(
        "normal",
        distributions=1000,
        sample=sample,
        summary="rounded draws of a normal distribution",
        description_probability=0.4,
    ),
)
