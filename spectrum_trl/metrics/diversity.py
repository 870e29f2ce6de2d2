"""Count the distinct valid answers of a model that is sampled many times.

Source: Spectrum Tuning (arXiv 2510.06084), diversity and yield.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from math import comb
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from spectrum_trl.metrics.intervals import CONFIDENCE, FEWEST, Interval

PADDING_AS_PUBLISHED = ("<pad>", "<|endoftext|>")


class Diversity(NamedTuple):
    """Counts and shares of generations; shares are in [0, 1], and 0 if the denominator is 0.

    Attributes:
        n: Number of generations.
        share_valid: Valid generations / all generations.
        share_unique: Distinct valid texts / valid generations; the paper's diversity.
        yield_count: Number of distinct valid texts; the paper's yield.
        yield_share: Distinct valid texts / all generations.
        unique_of_all: Distinct texts, valid or not / all generations.
        collision: Equal pairs / all pairs of valid generations; an estimate of the probability of agreement,
            which unlike ``share_unique`` does not fall with the number of generations.
        recall: Distinct valid texts / possible texts; None if these are not given.
    """

    n: int
    share_valid: float
    share_unique: float
    yield_count: int
    yield_share: float
    unique_of_all: float
    collision: float
    recall: float | None


def summarise(
    generations: Sequence[str], valid: Sequence[bool], *, possible: Collection[str] | None = None
) -> Diversity:
    """Count valid and distinct texts among samples of one prompt.

    Args:
        generations: The samples; texts are compared exactly.
        valid: One flag per sample.
        possible: All valid texts, if there are finitely many; duplicates are not removed.

    Raises:
        ValueError: If samples and flags differ in number.
    """
    counts = Counter(text for text, ok in zip(generations, valid, strict=True) if ok)
    n, n_valid = len(generations), counts.total()
    equal_pairs = sum(comb(count, 2) for count in counts.values())
    return Diversity(
        n=n,
        share_valid=_share(n_valid, n),
        share_unique=_share(len(counts), n_valid),
        yield_count=len(counts),
        yield_share=_share(len(counts), n),
        unique_of_all=_share(len(set(generations)), n),
        collision=_share(equal_pairs, comb(n_valid, 2)),
        recall=None if possible is None else _share(len(counts), len(possible)),
    )


def expected_yield(probabilities: ArrayLike, *, n: int) -> float:
    """Return the expected number of distinct texts among n independent samples of a distribution.

    Args:
        probabilities: Shape (k,), of the valid texts, each in [0, 1]; the rest of the mass is invalid.
        n: Number of samples.
    """
    return float((1 - (1 - np.asarray(probabilities, dtype=np.float64)) ** n).sum())


def expected_unique(probabilities: ArrayLike, *, n: int) -> float:
    """Return `expected_yield` divided by the number of samples, in [0, 1]; 0 without samples."""
    return _share(expected_yield(probabilities, n=n), n)


def clean(text: str, *, stops: Collection[str]) -> str:
    """Return a generation up to the earliest stop text, without surrounding white space."""
    ends = [text.find(stop) for stop in stops if stop in text]
    return text[: min(ends, default=len(text))].strip()


def clean_as_published(text: str, *, stops: Sequence[str]) -> str:
    """Clean a generation as for the paper's results: cut at the first stop of the list, not the earliest.

    Args:
        text: As decoded, with special tokens.
        stops: Stop texts; the text is cut at the first in this order that occurs.
    """
    for padding in PADDING_AS_PUBLISHED:
        text = text.replace(padding, "").strip()
        found = next((stop for stop in stops if stop in text), None)
        text = text if found is None else text[: text.index(found)]
    return text.strip()


def sample_intervals(generations: Sequence[str], valid: Sequence[bool]) -> dict[str, Interval]:
    """Return intervals over the samples of one prompt.

    Resampling would lose distinct texts. A sample changes their number only if its text occurs once, so the
    variance is close to f1 (1 - f1 / n), where f1 of n texts occur once (Efron and Stein, Annals of
    Statistics 1981). Invalid samples are included in n, since their number is random too. Two are added to f1
    and n, since f1 may be 0 by chance.

    In simulations with 100 samples, 95% intervals of the yield covered its mean in 100% of cases for uniform
    over 5,000 and over 10, 99.8% over 50, 95.8% for Zipf over 2,000, 94.4% for collapsed (97% one text), and
    with 1%, 2%, 4%, 10% and 50% valid, uniform over 5,000, in 100%, 99.8%, 98.2%, 96.8% and 95.2%. Fewer than
    about three expected valid samples among fewer than 100 were not simulated.

    Args:
        generations: The samples.
        valid: One flag per sample.

    Returns:
        The interval of each metric of `Diversity` but ``yield_share`` and ``recall``, which follow from the
        yield's: of ``share_valid`` Wilson's, of ``collision`` NaN with fewer than 20 valid samples.
    """
    counts = Counter(text for text, ok in zip(generations, valid, strict=True) if ok)
    n, n_valid, found = len(generations), counts.total(), len(counts)
    share = scipy.stats.binomtest(n_valid, n).proportion_ci(CONFIDENCE, method="wilson")
    # A lower bound of the probability that any sample is valid.
    least = min(found, 1 - (1 - float(share.low)) ** n)
    width = _width(counts, n=n)
    return {
        "share_valid": Interval(n_valid / n, float(share.low), float(share.high)),
        "share_unique": _unique(counts, least=least / n),
        "yield_count": Interval(float(found), max(least, found - width), min(float(n), found + width)),
        "unique_of_all": _unique(Counter(generations), least=1 / n),
        "collision": _collision(counts),
    }


def _width(counts: Counter[str], *, n: int) -> float:
    """Return half the width of the interval of the number of distinct texts among n."""
    once = sum(count == 1 for count in counts.values())
    return float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2)) * float((once + 2) * (1 - once / (n + 2))) ** 0.5


def _unique(counts: Counter[str], *, least: float) -> Interval:
    """Return the share of distinct texts among the counted ones with its interval, at least ``least``."""
    n, found = counts.total(), len(counts)
    if not n:
        return Interval(0.0, 0.0, 1.0)
    width = _width(counts, n=n)
    return Interval(found / n, max(least, (found - width) / n), min(1.0, (found + width) / n))


def _collision(counts: Counter[str]) -> Interval:
    """Return the share of equal pairs with Wilson's interval for the equivalent number of independent pairs.

    That number follows from the variance of a U-statistic (Hoeffding, Annals of Mathematical Statistics
    1948). In simulations with 20, 30, 60 and 100 samples of six distributions, from collapsed (97% one text)
    to uniform over 5,000, 95% intervals covered the probability in 92.3% to 100% of cases; with 4 to 15
    samples in 84.5% to 100%, so there is no interval for fewer than 20.
    """
    n = counts.total()
    if n < 2:
        return Interval(0.0, float("nan"), float("nan"))
    sizes = np.array(list(counts.values()))
    # For each sample, the share of the others that agree with it.
    agreeing = np.repeat((sizes - 1) / (n - 1), sizes)
    share, pairs = float(agreeing.mean()), comb(n, 2)
    if n < FEWEST:
        return Interval(share, float("nan"), float("nan"))
    variance = (2 * (n - 2) * float(agreeing.var(ddof=1)) + share * (1 - share)) / pairs
    if len(counts) == 1:
        independent = n / 2
    else:
        independent = min(pairs, share * (1 - share) / variance) if variance else pairs
    # statsmodels is slow to import; scipy has this interval for integers only.
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(share * independent, independent, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(share, float(low), float(high))


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
