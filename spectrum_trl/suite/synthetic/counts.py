"""Whole numbers without an upper limit: Poisson, geometric, negative binomial and Zipf.

Parameters stated in the description are rounded as printed before anything is drawn, so the description is
exactly true; other parameters are drawn at full precision.
"""

from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import scipy
from scipy.special import betaln, gammaln, logsumexp, poch, xlog1py, zeta

from spectrum_trl.errors import UserError
from spectrum_trl.suite.randomness import sequence_length
from spectrum_trl.suite.sequences.generators import (
    Draw,
    drawn,
    quadrature,
    read_whole_numbers,
    stated,
    whole_numbers,
)
from spectrum_trl.suite.task import Distribution

RATE_SHAPE, RATE_SCALE = 0.5, 2000.0
ZIPF_EXPONENTS = (1 + 1e-6, 2.5)
# Zipf draws above this are repeated: further out, a uniform double no longer reaches every whole number,
# and with exponents near 1 most draws would be larger than any text should hold.
ZIPF_LARGEST = 10**9

_POISSON_DESCRIPTIONS = (
    "Poisson distribution with rate {rate}",
    "Counts of events, Poisson distributed; on average {rate} events each time.",
    "Poisson distribution",
    "Poisson({rate})",
)
_GEOMETRIC_DESCRIPTIONS = (
    "Geometric distribution with success probability {p}, counted from 1",
    "Number of trials up to and including the first success; a trial succeeds with probability {p}.",
    "Geometric distribution",
    "Geometric({p})",
)
_NEGATIVE_BINOMIAL_DESCRIPTIONS = (
    "Negative binomial distribution with r = {r} and success probability p = {p}",
    "Failures before the r-th success, for r = {r} and a success probability of {p} (negative binomial).",
    "Negative binomial distribution",
)
_ZIPF_DESCRIPTIONS = (
    "Zipf distribution with exponent {alpha}, up to a billion",
    "Zipfian ranks up to a billion: rank k has a weight of k to the power of -{alpha}.",
    "Zipf distribution, up to a billion",
)


def poisson_predictive(outputs: Sequence[str], *, rate: float | None = None) -> Distribution:
    """Return the distribution of the next Poisson count.

    Args:
        outputs: Counts seen so far, in any order.
        rate: The rate, if the description states it.

    Returns:
        Poisson(rate); else, with the rate's Gamma(0.5, scale 2000) prior, the negative binomial predictive.
    """
    seen = read_whole_numbers(outputs)
    if rate is not None:
        return whole_numbers(scipy.stats.poisson(rate).pmf)
    precision = 1 / RATE_SCALE + len(seen)
    return whole_numbers(
        scipy.stats.nbinom(RATE_SHAPE + seen.sum(dtype=float), precision / (precision + 1)).pmf
    )


def geometric_predictive(outputs: Sequence[str], *, p: float | None = None) -> Distribution:
    """Return the distribution of the next number of trials up to the first success.

    Args:
        outputs: Numbers seen so far (1, 2, …), in any order.
        p: Success probability in (0, 1], if the description states it.

    Returns:
        Geometric(p); else, with a uniform prior of p and n numbers that sum to s, the beta-geometric
        B(a + 1, b + k - 1) / B(a, b) with a = 1 + n and b = 1 + s - n.
    """
    seen = read_whole_numbers(outputs, low=1)
    if p is not None:
        return whole_numbers(scipy.stats.geom(p).pmf, low=1)
    a, b = 1 + len(seen), 1 + (seen - 1).sum(dtype=float)
    return whole_numbers(lambda k: np.exp(betaln(a + 1, b + k - 1) - betaln(a, b)), low=1)


def _log_coefficients(k: np.ndarray | int, r: np.ndarray | float) -> np.ndarray:
    """Return the log of Γ(k + r) / (Γ(k + 1) Γ(r)), without cancellation at large k."""
    return np.log(poch(np.asarray(k) + 1.0, r - 1)) - gammaln(r)


def _unknown_r_and_p(seen: np.ndarray) -> Distribution:
    """Return the negative binomial's predictive under uniform priors.

    Over p it is a beta integral in closed form, over r a quadrature.
    """
    r, log_weights = quadrature(0, 1)
    numbers, repeats = np.unique(seen, return_counts=True)
    n, total = len(seen), seen.sum(dtype=float)
    log_likelihood = log_weights + repeats @ _log_coefficients(numbers[:, None], r)
    log_evidence = logsumexp(log_likelihood + betaln(n * r + 1, total + 1))

    def pmf(k: int) -> float:
        joint = log_likelihood + _log_coefficients(k, r) + betaln((n + 1) * r + 1, total + k + 1)
        return float(np.exp(logsumexp(joint) - log_evidence))

    return whole_numbers(pmf)


def negative_binomial_predictive(
    outputs: Sequence[str], *, r: float | None = None, p: float | None = None
) -> Distribution:
    """Return the distribution of the next number of failures before r successes.

    Args:
        outputs: Numbers seen so far, in any order.
        r: Number of successes, in (0, 1], if the description states it (together with p).
        p: Success probability in (0, 1], if the description states it (together with r).

    Returns:
        The negative binomial; else its mean over the posterior of uniform r and p.

    Raises:
        UserError: If only one of r and p is given, or an output is not a whole number.
    """
    seen = read_whole_numbers(outputs)
    if r is None and p is None:
        return _unknown_r_and_p(seen)
    if r is None or p is None:
        raise UserError(f"negative_binomial_predictive got r={r} and p={p}: give both or neither")
    # Not scipy's own: it overflows where p is next to 0.
    return whole_numbers(lambda k: float(np.exp(_log_coefficients(k, r) + r * np.log(p) + xlog1py(k, -p))))


def _log_harmonic(alpha: np.ndarray | float) -> np.ndarray:
    """Return the log of the sum of k^-alpha over k = 1 … ZIPF_LARGEST, for alpha > 1."""
    return np.log(zeta(alpha, 1) - zeta(alpha, ZIPF_LARGEST + 1))


@cache
def _zipf_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return exponents, the logs of their prior weights, and the logs of their harmonic sums."""
    nodes, log_weights = quadrature(*ZIPF_EXPONENTS)
    return nodes, log_weights, _log_harmonic(nodes)


def zipfian_predictive(outputs: Sequence[str], *, alpha: float | None = None) -> Distribution:
    """Return the distribution of the next Zipf number, from 1 to ``ZIPF_LARGEST``.

    Args:
        outputs: Numbers seen so far, in any order.
        alpha: Exponent, if the description states it; values up to 1 become 1 + 1e-6, as when drawing.

    Returns:
        k^-alpha, normalised; else its mean over the posterior of a uniform alpha, by quadrature. The
        support is too large to list.
    """
    seen = read_whole_numbers(outputs, low=1, high=ZIPF_LARGEST)
    if alpha is not None:
        nodes = np.array([max(alpha, ZIPF_EXPONENTS[0])])
        log_posterior, log_harmonic = np.zeros(1), _log_harmonic(nodes)
    else:
        nodes, log_prior, log_harmonic = _zipf_grid()
        log_posterior = log_prior - nodes * np.log(seen).sum() - len(seen) * log_harmonic
        log_posterior -= logsumexp(log_posterior)

    def pmf(k: int) -> float:
        if k > ZIPF_LARGEST:
            return 0.0
        return float(np.exp(logsumexp(log_posterior - log_harmonic - nodes * np.log(k))))

    return whole_numbers(pmf, low=1)


def _texts(numbers: np.ndarray) -> list[str]:
    return [str(number) for number in numbers.tolist()]


def _open_unit(rng: np.random.Generator) -> float:
    """Draw from the uniform distribution on (0, 1]: zero would make the laws here degenerate."""
    return 1 - rng.random()


def poisson(rng: np.random.Generator) -> Draw:
    """Draw a rate from Gamma(0.5, scale 2000), a template, and L(1024) counts."""
    rate = rng.gamma(RATE_SHAPE, RATE_SCALE)
    description, known = stated(rng, templates=_POISSON_DESCRIPTIONS, decimals=(1, 2, 3, 4), rate=rate)
    counts = rng.poisson(known.get("rate", rate), sequence_length(rng, mean=1024))
    return Draw(description, _texts(counts), partial(poisson_predictive, **known))


def geometric(rng: np.random.Generator, *, decimals: Sequence[int] = (2, 3, 4)) -> Draw:
    """Draw a uniform success probability, a template, and L(1024) numbers of trials.

    Args:
        rng: Source of randomness.
        decimals: Numbers of decimals in which the probability may be printed.
    """
    p = _open_unit(rng)
    description, known = stated(rng, templates=_GEOMETRIC_DESCRIPTIONS, decimals=decimals, p=p)
    numbers = rng.geometric(known.get("p", p), sequence_length(rng, mean=1024))
    return Draw(description, _texts(numbers), partial(geometric_predictive, **known))


def negative_binomial(rng: np.random.Generator) -> Draw:
    """Draw uniform r and p, a template, and L(1024) numbers of failures."""
    r, p = _open_unit(rng), _open_unit(rng)
    description, known = stated(rng, templates=_NEGATIVE_BINOMIAL_DESCRIPTIONS, r=r, p=p)
    length = sequence_length(rng, mean=1024)
    numbers = rng.negative_binomial(known.get("r", r), known.get("p", p), length)
    return Draw(description, _texts(numbers), partial(negative_binomial_predictive, **known))


def zipfian(rng: np.random.Generator) -> Draw:
    """Draw an exponent, a template, and L(1024) numbers of at most ``ZIPF_LARGEST``."""
    alpha = rng.uniform(*ZIPF_EXPONENTS)
    description, known = stated(rng, templates=_ZIPF_DESCRIPTIONS, decimals=(3,), alpha=alpha)
    exponent = max(known.get("alpha", alpha), ZIPF_EXPONENTS[0])
    numbers = rng.zipf(exponent, sequence_length(rng, mean=1024))
    while (large := numbers > ZIPF_LARGEST).any():
        numbers[large] = rng.zipf(exponent, large.sum())
    return Draw(description, _texts(numbers), partial(zipfian_predictive, **known))


TASKS = (
    drawn("poisson", sample=poisson, summary="Poisson counts"),
    drawn("geometric", sample=geometric, summary="numbers of trials up to a success"),
    drawn(
        "geometric_beta",
        sample=partial(geometric, decimals=(3,)),
        summary="numbers of trials up to a success",
    ),
    drawn(
        "negative_binomial", sample=negative_binomial, summary="numbers of failures before several successes"
    ),
    drawn("zipfian", sample=zipfian, summary="whole numbers by Zipf's law"),
)
