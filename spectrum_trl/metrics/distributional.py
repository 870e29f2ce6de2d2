"""Compare a model's probabilities of the possible answers with the true ones.

Source: Spectrum Tuning (arXiv 2510.06084), distributional alignment.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, logsumexp, rel_entr

# Smaller relative differences of probabilities come from the rounding of single-precision sums.
ROUNDING = 1e-5
# Counts of a larger variance than this are all but normal.
MANY = 1e6
# Counts further from their mean than this many standard deviations, and this many more, all but never occur.
FAR, FURTHER = 10, 50
# Added to every probability for the paper's results.
PUBLISHED_SMOOTHING = 1e-6


class Comparison(NamedTuple):
    """An observed distribution compared with its target; natural logarithms throughout.

    Attributes:
        js_divergence: Jensen-Shannon divergence in nats, in [0, ln 2].
        kl_divergence: KL(target || observed) in nats, at least 0, infinite where an answer is never observed.
        reverse_kl: KL(observed || target) in nats, at least 0, infinite where an impossible one is observed.
        cross_entropy: Between target and observed, in nats: the target's entropy plus ``kl_divergence``.
        total_variation: Half the sum of absolute differences, in [0, 1].
        mode_match: Whether the likeliest answers agree, in [0, 1].
        coverage: Sum of the unnormalised observed probabilities.
        log_loss: Expected loss of an answer in nats, ``cross_entropy - log(coverage)``: a proper score, which
            stays high if all answers are unlikely, however well their shares match.
    """

    js_divergence: float
    kl_divergence: float
    reverse_kl: float
    cross_entropy: float
    total_variation: float
    mode_match: float
    coverage: float
    log_loss: float


def compare(target: ArrayLike, observed: ArrayLike) -> Comparison:
    """Compare a model's probabilities of the answers with the target.

    Both are normalised. If nothing is observed, all mass counts as lying on some other answer:
    ``js_divergence`` is ln 2, the other divergences are infinite. If several answers are the likeliest, each
    of the target's is right, and ``mode_match`` is the share of right ones among the observed.

    Args:
        target: Shape (n,), not negative, with any positive sum.
        observed: Shape (n,), the probability in [0, 1] of each answer with its end-of-turn token; these
            cannot sum to more than 1.

    Raises:
        ValueError: If the shapes differ or the values are not probabilities.
    """
    p, q = _checked(target, observed)
    coverage = float(q.sum())
    if coverage == 0:
        p, q = np.append(p, 0.0), np.append(q, 1.0)
    p, q = p / p.sum(), q / q.sum()
    likeliest = _modes(q)
    mode_match = float(_modes(p)[likeliest].mean())
    return _comparison(p, q, coverage=coverage, mode_match=mode_match)


def compare_logs(target: ArrayLike, logs: ArrayLike, *, published: bool = False) -> Comparison:
    """Compare like `compare`, but from log-probabilities: exact even if probabilities would underflow to 0.

    Args:
        target: See `compare`.
        logs: Shape (n,), log-probabilities in nats.
        published: Whether to compare like `compare_as_published`.
    """
    values = np.asarray(logs, dtype=np.float64)
    total = float(logsumexp(values))
    chosen = compare_as_published if published else compare
    if not np.isfinite(total):
        return chosen(target, np.zeros_like(values))
    found = chosen(target, np.exp(values - total))
    if not published:
        p = np.asarray(target, dtype=np.float64) / np.sum(target)
        possible = p > 0
        entropy = float(entr(p).sum())
        cross_entropy = max(entropy, -float(p[possible] @ (values - total)[possible]))
        found = found._replace(kl_divergence=cross_entropy - entropy, cross_entropy=cross_entropy)
    return found._replace(coverage=float(np.exp(total)), log_loss=found.cross_entropy - total)


def compare_as_published(target: ArrayLike, observed: ArrayLike) -> Comparison:
    """Compare as in the paper's results; arguments as for `compare`.

    1e-6 is added to every normalised observed and every target probability, and both are normalised again.
    This keeps all divergences finite but makes them depend on the number of answers. Of several likeliest
    answers, the first counts. If nothing is observed, everything but ``coverage`` is NaN.
    """
    p, q = _checked(target, observed)
    coverage = float(q.sum())
    if coverage == 0:
        return Comparison(**dict.fromkeys(Comparison._fields, float("nan")) | {"coverage": coverage})
    p, q = (
        smoothed / smoothed.sum()
        for smoothed in (p + PUBLISHED_SMOOTHING, q / coverage + PUBLISHED_SMOOTHING)
    )
    return _comparison(p, q, coverage=coverage, mode_match=float(p.argmax() == q.argmax()))


def uniform_guess(target: ArrayLike) -> Comparison:
    """Compare the uniform guess over the answers, a baseline for models, with the target, shape (n,)."""
    n = np.asarray(target).size
    return compare(target, np.full(n, 1 / n))


def noise_floor(target: ArrayLike, *, n: int) -> float:
    """Return the expected Jensen-Shannon divergence of n exact draws from their own distribution, in nats.

    A perfect model still differs this much from shares counted from n answers, which stand here for the true
    ones. Each answer's count is binomial; tails of a probability below 1e-15 are left out, and
    very large counts are taken as normal.

    Args:
        target: Shape (answers,), not negative, with any positive sum.
        n: Number of answers, at least 1.
    """
    p, _ = _checked(target, target)
    p, times = np.unique((p / p.sum())[p > 0], return_counts=True)
    return float(times @ [_expected_divergence(share, n=n) for share in p])


def _expected_divergence(p: float, *, n: int) -> float:
    """Return what one answer of probability p contributes to `noise_floor`."""
    variance = n * p * (1 - p)
    if variance > MANY:
        return (1 - p) / (8 * n)
    reach = FAR * variance**0.5 + FURTHER
    counts = np.arange(max(0, int(n * p - reach)), min(n, int(n * p + reach)) + 1)
    q = counts / n
    middle = (p + q) / 2
    return float(scipy.stats.binom.pmf(counts, n, p) @ (rel_entr(p, middle) + rel_entr(q, middle))) / 2


def expected_total_variation(target: ArrayLike, *, n: int) -> float:
    """Return the expected total variation of n exact draws from their own distribution, in [0, 1].

    What a perfect model is measured to have if its shares are counted from n samples. Exact: half the sum of
    the mean deviations of each answer's binomial count (de Moivre).

    Args:
        target: Shape (answers,), not negative, with any positive sum.
        n: Number of draws, at least 1.
    """
    p, _ = _checked(target, target)
    p = p / p.sum()
    next_count = np.floor(n * p) + 1
    deviations = 2 * next_count * (1 - p) * scipy.stats.binom.pmf(next_count, n, p)
    return float(deviations.sum() / (2 * n))


def ordinal_distance(target: ArrayLike, observed: ArrayLike) -> float:
    """Return the earth mover's distance between shares of the steps of a scale, in [0, 1].

    Args:
        target: Shape (steps,), in the order of the scale, not negative, with any positive sum.
        observed: The same of a model.

    Returns:
        The mean distance that mass must be moved, as a share of the scale's length.
    """
    p, q = _checked(target, observed)
    steps = np.arange(p.size)
    return float(scipy.stats.wasserstein_distance(steps, steps, p, q) / max(1, p.size - 1))


class Summary(NamedTuple):
    """A metric over items, as published.

    Attributes:
        mean: Mean of the values.
        std: Their standard deviation, with divisor n - 1.
        standard_error: ``std`` divided by the square root of n.
    """

    mean: float
    std: float
    standard_error: float


def summary_as_published(values: ArrayLike) -> Summary:
    """Summarise a metric over items, shape (n,), n at least 2, as in the paper's results."""
    data = np.asarray(values, dtype=np.float64)
    std = float(data.std(ddof=1))
    return Summary(float(data.mean()), std, std / float(np.sqrt(data.size)))


def _checked(target: ArrayLike, observed: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, q = np.asarray(target, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if p.ndim != 1 or p.shape != q.shape or not p.size:
        raise ValueError(f"target has shape {p.shape} and observed {q.shape}, expected (n,) for both, n > 0")
    for name, values in (("target", p), ("observed", q)):
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"{name} has negative or non-finite values, expected probabilities")
    if p.sum() == 0:
        raise ValueError("target is 0 everywhere, expected probabilities")
    return p, q


def _modes(p: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isclose(p, p.max(), rtol=ROUNDING, atol=0.0)


def _comparison(
    p: NDArray[np.float64], q: NDArray[np.float64], *, coverage: float, mode_match: float
) -> Comparison:
    # Rounding can push a divergence just past its bounds, where scipy's jensenshannon, a root, is NaN.
    middle = (p + q) / 2
    js = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    kl = max(0.0, float(rel_entr(p, q).sum()))
    cross_entropy = float(entr(p).sum()) + kl
    return Comparison(
        js_divergence=float(np.clip(js, 0.0, np.log(2))),
        kl_divergence=kl,
        reverse_kl=max(0.0, float(rel_entr(q, p).sum())),
        cross_entropy=cross_entropy,
        total_variation=float(np.abs(p - q).sum()) / 2,
        mode_match=mode_match,
        coverage=coverage,
        log_loss=cross_entropy - float(np.log(coverage)) if coverage else float("inf"),
    )
