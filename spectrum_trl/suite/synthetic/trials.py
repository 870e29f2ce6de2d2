"""Whole numbers with an upper limit: binomial and hypergeometric successes.

Parameters stated in the description are rounded as printed before anything is drawn.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import scipy
from scipy.special import betaln, gammaln, logsumexp, xlog1py, xlogy

from spectrum_trl.errors import UserError
from spectrum_trl.suite.randomness import length_pmf, sequence_length
from spectrum_trl.suite.sequences.generators import Draw, drawn, read_whole_numbers, stated, whole_numbers
from spectrum_trl.suite.task import Distribution

MEAN_TRIALS = 1024
MEAN_POPULATION = 128

_BINOMIAL_DESCRIPTIONS = (
    "Binomial distribution with {trials} trials and success probability {p}",
    "Successes in {trials} independent trials that each succeed with probability {p}.",
    "Binomial({trials}, {p})",
    "Successes in {trials} independent trials; how likely a success is remains unknown.",
    "Binomial distribution",
)
_HYPERGEOMETRIC_DESCRIPTIONS = (
    "Hypergeometric distribution: population {population}, successes in it {successes}, drawn {drawn}",
    "Of {population} items, {successes} are marked; {drawn} are drawn without replacement. Each output "
    "counts the marked ones drawn.",
    "Hypergeometric(N={population}, K={successes}, n={drawn})",
    "Hypergeometric distribution",
)


def _binomial_pmf(k: int, *, trials: int, p: float) -> float:
    """Return the binomial probability; scipy's own overflows where p is next to 0."""
    log_coefficient = -betaln(1 + trials - k, 1 + k) - np.log1p(trials)
    return float(np.exp(log_coefficient + xlogy(k, p) + xlog1py(trials - k, -p)))


def _unknown_trials(seen: np.ndarray) -> Distribution:
    """Return the predictive for trials from L(1024) and uniform p, by summing over the trials."""
    with np.errstate(divide="ignore"):
        log_prior = np.log(length_pmf(MEAN_TRIALS))
    low = int(seen.max(initial=1))
    if low >= len(log_prior):
        raise UserError(
            f"{low} successes: the number of trials of this task stays below {len(log_prior)}; "
            "correct the output or give the trials"
        )
    trials = np.arange(low, len(log_prior))
    log_factorial = gammaln(np.arange(len(log_prior)) + 1.0)
    log_weights = log_prior[low:] + len(seen) * log_factorial[low:]
    for number, repeats in zip(*np.unique(seen, return_counts=True), strict=True):
        log_weights = log_weights - repeats * log_factorial[low - number : len(log_prior) - number]
    total = seen.sum(dtype=float)
    a, b = total + 1, len(seen) * trials - total + 1
    log_weights += betaln(a, b)
    weights = np.exp(log_weights - logsumexp(log_weights))

    def pmf(k: int) -> float:
        possible = trials >= k
        return float(weights[possible] @ scipy.stats.betabinom.pmf(k, trials[possible], a, b[possible]))

    return whole_numbers(pmf)


def binomial_predictive(
    outputs: Sequence[str], *, trials: int | None = None, p: float | None = None
) -> Distribution:
    """Return the distribution of the next number of successes.

    Args:
        outputs: Numbers seen so far, in any order.
        trials: Number of trials, if the description states it.
        p: Success probability in [0, 1], if the description states it; only together with the trials.

    Returns:
        The binomial; given the trials only, with a uniform prior of p, the beta-binomial; else its mean
        over the posterior of the trials (prior L(1024)).

    Raises:
        UserError: If p is given without the trials, or a number exceeds the trials.
    """
    seen = read_whole_numbers(outputs, high=trials)
    if trials is None:
        if p is not None:
            raise UserError("binomial_predictive got p without trials: give both, only trials, or neither")
        return _unknown_trials(seen)
    if p is not None:
        low, high = (0, trials) if 0 < p < 1 else (int(p) * trials, int(p) * trials)
        return whole_numbers(partial(_binomial_pmf, trials=trials, p=p), low=low, high=high)
    total = int(seen.sum())
    return whole_numbers(
        scipy.stats.betabinom(trials, total + 1, len(seen) * trials - total + 1).pmf, high=trials
    )


def hypergeometric_predictive(
    outputs: Sequence[str], *, population: int, successes: int, drawn: int
) -> Distribution:
    """Return the distribution of the next number of marked items drawn, given all parameters.

    There is none without them: it would be a sum over all populations, marks and draws.

    Args:
        outputs: Numbers seen so far; they add no information to the parameters, but are checked.
        population: Number of items.
        successes: Marked items among them.
        drawn: Items drawn each time, without replacement.
    """
    low, high = max(0, drawn + successes - population), min(drawn, successes)
    read_whole_numbers(outputs, low=low, high=high)
    return whole_numbers(scipy.stats.hypergeom(population, successes, drawn).pmf, low=low, high=high)


def binomial(rng: np.random.Generator) -> Draw:
    """Draw a uniform p, L(1024) trials, a template, and L(1024) numbers of successes."""
    p, trials = rng.random(), sequence_length(rng, mean=MEAN_TRIALS)
    description, known = stated(rng, templates=_BINOMIAL_DESCRIPTIONS, decimals=(2, 3, 4), trials=trials, p=p)
    numbers = rng.binomial(trials, known.get("p", p), sequence_length(rng, mean=1024))
    return Draw(description, [str(n) for n in numbers.tolist()], partial(binomial_predictive, **known))


def hypergeometric(rng: np.random.Generator) -> Draw:
    """Draw a population of L(128), uniform marks and draws, a template, and L(1024) numbers."""
    population = sequence_length(rng, mean=MEAN_POPULATION)
    successes, drawn = rng.integers(1, population, size=2, endpoint=True).tolist()
    parameters = {"population": population, "successes": successes, "drawn": drawn}
    description, known = stated(rng, templates=_HYPERGEOMETRIC_DESCRIPTIONS, **parameters)
    numbers = rng.hypergeometric(successes, population - successes, drawn, sequence_length(rng, mean=1024))
    predictive = partial(hypergeometric_predictive, **known) if known else None
    return Draw(description, [str(n) for n in numbers.tolist()], predictive)


TASKS = (
    drawn("binomial", sample=binomial, summary="numbers of successes"),
    drawn(
        "hypergeometric",
        sample=hypergeometric,
        summary="numbers of marked items in draws without replacement",
    ),
)
