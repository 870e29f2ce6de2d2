import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln, gammaln

from spectrum_trl.errors import UserError
from spectrum_trl.suite.randomness import length_pmf
from spectrum_trl.suite.sequences.generators import generator
from spectrum_trl.suite.synthetic import trials
from tests.messages import naming


@given(st.integers(1, 40), st.data())
@settings(max_examples=30, deadline=None)
def test_given_the_trials_the_beta_binomial_sums_to_one_and_has_the_posterior_mean(n, data):
    seen = data.draw(st.lists(st.integers(0, n), max_size=8))
    law = trials.binomial_predictive([str(x) for x in seen], trials=n)
    probabilities = np.array([law.pmf(text) for text in law.support])
    assert law.support == tuple(map(str, range(n + 1)))
    assert probabilities.sum() == pytest.approx(1)
    mean = n * (1 + sum(seen)) / (2 + n * len(seen))
    assert probabilities @ np.arange(n + 1) == pytest.approx(mean)
    assert law.pmf(str(n + 1)) == 0


def test_without_outputs_and_with_the_trials_every_number_is_equally_likely():
    law = trials.binomial_predictive([], trials=9)
    assert [law.pmf(text) for text in law.support] == pytest.approx([0.1] * 10)


@pytest.mark.parametrize("seen", [[], [0], [3], [400, 380], [7, 9, 6, 8, 8]])
def test_without_the_trials_the_sum_over_them_is_the_ratio_of_evidences(seen):
    def log_evidence(numbers):
        sizes = np.arange(max([1, *numbers]), 20 * 1024 + 1)
        prior = np.log(length_pmf(1024)[sizes])
        logs = prior + betaln(sum(numbers) + 1, len(numbers) * sizes - sum(numbers) + 1)
        for x in numbers:
            logs = logs + gammaln(sizes + 1) - gammaln(x + 1) - gammaln(sizes - x + 1)
        return np.logaddexp.reduce(logs)

    law = trials.binomial_predictive([str(x) for x in seen])
    for following in (0, 5, 390, 2000):
        expected = np.exp(log_evidence([*seen, following]) - log_evidence(seen))
        assert law.pmf(str(following)) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_without_the_trials_probabilities_sum_to_one():
    law = trials.binomial_predictive(["12", "9", "14", "11"])
    assert sum(law.pmf(str(k)) for k in range(400)) == pytest.approx(1, abs=1e-6)


@given(st.integers(1, 300), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_told_parameters_give_the_binomial_on_its_support(n, p):
    law = trials.binomial_predictive([], trials=n, p=p)
    assert sum(map(law.pmf, law.support)) == pytest.approx(1)
    assert law.support == tuple(map(str, range(n + 1))) or p in (0, 1)
    k = n // 2
    assert law.pmf(str(k)) == pytest.approx(math.comb(n, k) * p**k * (1 - p) ** (n - k))


@pytest.mark.parametrize(("p", "only"), [(0.0, "0"), (1.0, "6")])
def test_a_certain_outcome_is_the_only_one(p, only):
    law = trials.binomial_predictive([], trials=6, p=p)
    assert (law.support, law.pmf(only)) == ((only,), 1)


def test_impossible_numbers_and_half_told_parameters_are_refused():
    with pytest.raises(UserError, match=naming("output 1", "'7'", 0, 6)):
        trials.binomial_predictive(["7"], trials=6)
    with pytest.raises(UserError, match="p without trials"):
        trials.binomial_predictive([], p=0.5)
    with pytest.raises(UserError, match="999999 successes"):
        trials.binomial_predictive(["999999"])
    with pytest.raises(UserError, match=naming("output 1", "'0'", 2, 4)):
        trials.hypergeometric_predictive(["0"], population=6, successes=4, drawn=4)


@given(st.integers(1, 200), st.data())
@settings(max_examples=40, deadline=None)
def test_hypergeometric_sums_to_one_on_its_support(population, data):
    successes, drawn = (data.draw(st.integers(1, population)) for _ in range(2))
    law = trials.hypergeometric_predictive([], population=population, successes=successes, drawn=drawn)
    probabilities = [law.pmf(text) for text in law.support]
    assert all(p > 0 for p in probabilities) or population > 100
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities @ np.array(law.support, dtype=float) == pytest.approx(drawn * successes / population)


def test_samples_respect_the_told_limits_and_frequencies_match():
    rng = generator("hypergeometric", seed=4)
    scores = []
    for _ in range(200):
        draw = trials.hypergeometric(rng)
        if draw.predictive is None:
            assert draw.description == "Hypergeometric distribution"
            continue
        told = draw.predictive.keywords
        assert all(str(value) in draw.description for value in told.values())
        law, mean = draw.predictive(draw.outputs), told["drawn"] * told["successes"] / told["population"]
        assert set(draw.outputs) <= set(law.support)
        share = told["successes"] / told["population"]
        rest = (told["population"] - told["drawn"]) / max(told["population"] - 1, 1)
        spread = np.sqrt(told["drawn"] * share * (1 - share) * rest)
        if spread:
            values = np.array(draw.outputs, dtype=float)
            scores.append((values.mean() - mean) / (spread / np.sqrt(len(values))))
    assert len(scores) > 100
    assert abs(np.mean(scores)) < 4 / np.sqrt(len(scores))
    assert np.std(scores) == pytest.approx(1, abs=0.3)
