import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.generators import generator
from spectrum_trl.suite.synthetic import counts
from tests.messages import naming

small = st.lists(st.integers(1, 30), max_size=6)
few = settings(max_examples=25, deadline=None)


def texts(numbers):
    return [str(number) for number in numbers]


def total(law, *, low, high):
    return sum(law.pmf(str(number)) for number in range(low, high))


@few
@given(small)
def test_poisson_predictive_is_the_ratio_of_evidences(seen):
    prior = stats.gamma(counts.RATE_SHAPE, scale=counts.RATE_SCALE)
    law = counts.poisson_predictive(texts(seen))
    # Substituting rate = x^2 removes the pole of the prior at zero.
    nodes, weights = np.polynomial.legendre.leggauss(300)
    x = (1 + nodes) * 6  # rates up to 144
    weights = weights * prior.pdf(x**2) * 2 * x
    for n in seen:
        weights = weights * stats.poisson.pmf(n, x**2)
    for following in (0, 4, 25):
        expected = (weights * stats.poisson.pmf(following, x**2)).sum() / weights.sum()
        if seen:
            assert law.pmf(str(following)) == pytest.approx(expected, rel=1e-7)


@few
@given(small)
def test_geometric_predictive_is_the_ratio_of_evidences(seen):
    law = counts.geometric_predictive(texts(seen))
    nodes, weights = np.polynomial.legendre.leggauss(120)  # exact for these polynomials
    p = (1 + nodes) / 2
    for n in seen:
        weights = weights * p * (1 - p) ** (n - 1)
    for following in (1, 3, 12):
        expected = (weights * p * (1 - p) ** (following - 1)).sum() / weights.sum()
        assert law.pmf(str(following)) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=4))
def test_negative_binomial_predictive_is_the_ratio_of_evidences(seen):
    law = counts.negative_binomial_predictive(texts(seen))
    r, p = (np.arange(600) + 0.5) / 600, (np.arange(600) + 0.5)[:, None] / 600
    likelihood = np.ones((600, 600))
    for n in seen:
        likelihood = likelihood * stats.nbinom.pmf(n, r, p)
    for following in (0, 5):
        expected = (likelihood * stats.nbinom.pmf(following, r, p)).sum() / likelihood.sum()
        assert law.pmf(str(following)) == pytest.approx(expected, rel=2e-3)


@few
@given(small)
def test_zipf_predictive_is_the_ratio_of_evidences(seen):
    low, high = counts.ZIPF_EXPONENTS
    alphas = np.linspace(low, high, 4001)[:, None]
    # The harmonic sum by Euler-Maclaurin: a long sum, and the integral of the rest.
    k = np.arange(1, 1000.0)
    last, limit = 1000.0, counts.ZIPF_LARGEST + 0.5
    rest = ((last - 0.5) ** (1 - alphas) - limit ** (1 - alphas)) / (alphas - 1)
    harmonic = (k**-alphas).sum(axis=1, keepdims=True) + rest
    likelihood = np.prod([n**-alphas / harmonic for n in seen] or [np.ones_like(alphas)], axis=0)
    for following in (1, 7, 10**6):
        term = following**-alphas / harmonic
        expected = np.trapezoid((likelihood * term)[:, 0]) / np.trapezoid(likelihood[:, 0])
        law = counts.zipfian_predictive(texts(seen))
        assert law.pmf(str(following)) == pytest.approx(expected, rel=1e-4)


def test_probabilities_sum_to_one():
    assert total(counts.poisson_predictive(["40", "55"]), low=0, high=400) == pytest.approx(1, abs=1e-9)
    assert total(counts.poisson_predictive([], rate=7.5), low=0, high=100) == pytest.approx(1, abs=1e-12)
    assert total(counts.geometric_predictive(["1", "2", "1"] * 4), low=0, high=3000) == pytest.approx(
        1, abs=1e-9
    )
    assert total(counts.geometric_predictive([], p=0.2), low=0, high=400) == pytest.approx(1, abs=1e-12)
    seen = ["0", "2", "1", "3"] * 5
    assert total(counts.negative_binomial_predictive(seen), low=0, high=800) == pytest.approx(1, abs=1e-6)
    law = counts.negative_binomial_predictive([], r=0.4, p=0.3)
    assert total(law, low=0, high=300) == pytest.approx(1, abs=1e-12)


def test_zipf_probabilities_sum_to_one_up_to_the_largest_number():
    for law in (counts.zipfian_predictive([], alpha=1.2), counts.zipfian_predictive(["3", "1", "900"])):
        # Exact up to 2,000, then the trapezoid rule on a logarithmic scale.
        tail = np.geomspace(2000.5, counts.ZIPF_LARGEST + 0.5, 3000)
        density = np.array([law.pmf(str(round(k))) for k in tail])
        rest = np.trapezoid(density, tail)
        assert total(law, low=1, high=2001) + rest == pytest.approx(1, abs=1e-4)
        assert law.pmf(str(counts.ZIPF_LARGEST + 1)) == 0


def test_geometric_predictive_matches_the_catalogue_formula():
    # With three draws that sum to 7: a = 4, b = 5, P(1) = B(5, 5) / B(4, 5) = a / (a + b).
    assert counts.geometric_predictive(["1", "4", "2"]).pmf("1") == pytest.approx(4 / 9)
    assert counts.geometric_predictive([]).pmf("3") == pytest.approx(1 / 3 - 1 / 4)


@given(st.integers(0, 10**17), st.integers(0, 10**17))
@settings(max_examples=60, deadline=None)
def test_huge_numbers_keep_probabilities_finite(first, second):
    low, high = sorted((first, second))
    for predictive in (
        counts.poisson_predictive,
        counts.geometric_predictive,
        counts.negative_binomial_predictive,
    ):
        value = predictive([str(low + 1)] * 3).pmf(str(high + 1))
        assert 0 <= value <= 1


def test_told_parameters_at_the_edge_work():
    assert counts.geometric_predictive([], p=1.0).pmf("1") == 1
    assert counts.negative_binomial_predictive([], r=0.5, p=1.0).pmf("0") == 1
    assert 0 < counts.zipfian_predictive([], alpha=1.0).pmf("1") < 0.1
    assert counts.poisson_predictive([], rate=0.1).pmf("0") == pytest.approx(np.exp(-0.1))


def test_numbers_outside_the_support_are_refused():
    with pytest.raises(UserError, match=naming("output 1", "'0'", 1)):
        counts.geometric_predictive(["0"])
    with pytest.raises(UserError, match="output 2 is '0'"):
        counts.zipfian_predictive(["1", "0"])
    with pytest.raises(UserError, match="output 1 is '-3'"):
        counts.poisson_predictive(["-3"])
    with pytest.raises(UserError, match=naming("r=0.5", "p=None")):
        counts.negative_binomial_predictive([], r=0.5)
    assert counts.geometric_predictive([]).pmf("0") == 0


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 300))
def test_told_negative_binomial_is_that_of_scipy(r, p, k):
    value = counts.negative_binomial_predictive([], r=r, p=p).pmf(str(k))
    assert value == pytest.approx(stats.nbinom.pmf(k, r, p), rel=1e-7, abs=1e-300)


@pytest.mark.parametrize(
    ("name", "plug_in"),
    [
        ("poisson", lambda seen, k: stats.poisson.pmf(k, seen.mean() + 0.5)),
        ("geometric", lambda seen, k: stats.geom.pmf(k, 1 / (seen.mean() + 0.5))),
    ],
)
def test_the_exact_predictive_beats_the_best_guess_of_the_parameter(name, plug_in):
    rng = generator(name, seed=8)
    sample = getattr(counts, name)
    gains = []
    for _ in range(1500):
        draw = sample(rng)
        if len(draw.outputs) < 4:
            continue
        seen, following = np.array(draw.outputs[:3], dtype=float), int(draw.outputs[3])
        with np.errstate(divide="ignore"):
            guess = np.log(np.maximum(plug_in(seen, following), 1e-300))
        exact = draw.predictive.func(draw.outputs[:3]).pmf(draw.outputs[3])
        gains.append(np.log(exact) - guess)
    assert np.mean(gains) > 2 * np.std(gains) / np.sqrt(len(gains))


def test_zipf_draws_stay_within_the_limit_and_reach_far():
    rng = generator("zipfian", seed=8)
    largest = [max(map(int, counts.zipfian(rng).outputs)) for _ in range(80)]
    assert max(largest) <= counts.ZIPF_LARGEST
    assert max(largest) > 10**8
