import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spectrum_trl.errors import UserError
from spectrum_trl.suite.randomness import sequence_length
from spectrum_trl.suite.sequences.generators import generator
from spectrum_trl.suite.synthetic.categorical import draw_probabilities, predictive, sample


@given(st.integers(2, 20), st.data())
def test_given_k_the_rule_of_succession_holds(k, data):
    seen = data.draw(st.lists(st.integers(0, k - 1), max_size=40))
    law = predictive([str(x) for x in seen], k=k)
    assert law.support == tuple(map(str, range(k)))
    assert sum(map(law.pmf, law.support)) == pytest.approx(1)
    for label in range(k):
        assert law.pmf(str(label)) == pytest.approx((1 + seen.count(label)) / (k + len(seen)))


@given(st.lists(st.integers(0, 9), max_size=12))
@settings(max_examples=40, deadline=None)
def test_without_k_the_mean_over_its_posterior_is_taken(seen):
    law = predictive([str(x) for x in seen])
    assert sum(map(law.pmf, law.support)) == pytest.approx(1, abs=1e-12)
    # Brute force over k with the prior's pmf worked out from its definition.
    sizes = np.arange(241)
    prior = np.convolve(stats.geom.pmf(sizes, 1 / 6), stats.poisson.pmf(sizes, 6))[:241]
    numerator, denominator = {"0": 0.0, "5": 0.0, "30": 0.0}, 0.0
    for k in range(2, 241):
        if seen and max(seen) >= k:
            continue
        weight = prior[k] if k > 2 else prior[:3].sum()
        for n in range(len(seen)):
            weight /= k + n
        denominator += weight
        for label in numerator:
            if int(label) < k:
                numerator[label] += weight * (1 + seen.count(int(label))) / (k + len(seen))
    for label, value in numerator.items():
        assert law.pmf(label) == pytest.approx(value / denominator, rel=1e-6)


def test_told_probabilities_are_the_answer_and_zeros_leave_the_support():
    law = predictive(["0", "2"], k=3, probabilities=[0.25, 0.0, 0.75])
    assert law.support == ("0", "2")
    assert [law.pmf(label) for label in "0123"] == [0.25, 0, 0.75, 0]


def test_labels_beyond_k_are_refused():
    with pytest.raises(UserError, match="'3' cannot be drawn"):
        predictive(["3"], k=3)
    with pytest.raises(UserError, match="'x'"):
        predictive(["x"])


def test_rounded_probabilities_sum_to_one_as_printed():
    rng = np.random.default_rng(6)
    for _ in range(300):
        p = draw_probabilities(rng, rounded=True)
        assert len(p) >= 2
        assert p.min() >= 0
        assert sum(round(10_000 * share) for share in p) == 10_000
        assert np.allclose(p * 10_000, np.round(p * 10_000), atol=1e-8)


def test_k_and_probabilities_in_descriptions_are_those_of_the_sample():
    rng = generator("categorical", seed=7)
    scores = []
    for _ in range(120):
        draw = sample(rng)
        told = draw.predictive.keywords
        if not told:
            assert draw.description == "Categorical distribution"
            continue
        assert str(told["k"]) in draw.description
        assert ", ".join(f"{p:.4f}" for p in told["probabilities"]) in draw.description
        assert {int(label) for label in draw.outputs} <= set(range(told["k"]))
        p, n = max(told["probabilities"]), len(draw.outputs)
        label = str(np.argmax(told["probabilities"]))
        if 0 < p < 1:
            scores.append((draw.outputs.count(label) / n - p) / np.sqrt(p * (1 - p) / n))
    assert abs(np.mean(scores)) < 4 / np.sqrt(len(scores))


def test_the_number_of_labels_has_the_prior_that_the_predictive_assumes():
    rng = np.random.default_rng(9)
    sizes = np.array([max(2, sequence_length(rng, mean=12)) for _ in range(4000)])
    # P(label 0 comes first) is E[1 / k].
    expected = predictive([]).pmf("0")
    assert abs((1 / sizes).mean() - expected) < 4 * (1 / sizes).std() / np.sqrt(len(sizes))


def test_probabilities_are_uniform_on_the_simplex():
    rng = np.random.default_rng(14)
    drawn = [draw_probabilities(rng, rounded=False) for _ in range(2000)]
    # Under Dirichlet(1) two draws agree with probability 2 / (k + 1).
    errors = np.array([(p**2).sum() - 2 / (len(p) + 1) for p in drawn])
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(len(errors))
