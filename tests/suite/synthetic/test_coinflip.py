import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.generators import generator
from spectrum_trl.suite.synthetic.coinflip import predictive, sample
from tests.messages import naming

flips = st.lists(st.sampled_from(("Heads", "Tails")), max_size=60)


@given(flips)
def test_without_a_told_bias_the_rule_of_succession_holds(seen):
    law = predictive(seen)
    assert law.pmf("Heads") == pytest.approx((1 + seen.count("Heads")) / (2 + len(seen)))
    assert law.pmf("Heads") + law.pmf("Tails") == pytest.approx(1)
    assert law.pmf("heads") == 0


@given(flips, st.floats(0, 1))
def test_a_told_bias_is_the_answer_whatever_was_seen(seen, heads):
    assert predictive(seen, heads=heads).pmf("Heads") == heads


def test_a_certain_side_leaves_the_other_out_of_the_support():
    assert predictive([], heads=1.0).support == ("Heads",)


@given(st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_the_likelier_side_cuts_the_posterior_at_one_half(heads, tails, heads_likelier):
    likelier, other = (heads, tails) if heads_likelier else (tails, heads)

    def evidence(more):
        """Integral of p^(likelier + more) (1-p)^other from 1/2 to 1, in exact fractions."""
        powers = [likelier + more + i + 1 for i in range(other + 1)]
        signs = [(-1) ** i * math.comb(other, i) for i in range(other + 1)]
        return sum(s * (1 - Fraction(1, 2**n)) / n for s, n in zip(signs, powers, strict=True))

    label = "Heads" if heads_likelier else "Tails"
    law = predictive(["Heads"] * heads + ["Tails"] * tails, likelier=label)
    assert law.pmf(label) == pytest.approx(float(evidence(1) / evidence(0)), rel=1e-10)
    assert law.pmf(label) > 0.5


@pytest.mark.parametrize(("likelier", "other"), [(700, 650), (2000, 1990), (300, 500), (3000, 0)])
def test_long_sequences_agree_with_the_beta_distribution(likelier, other):
    law = predictive(["Heads"] * likelier + ["Tails"] * other, likelier="Heads")
    a, b = likelier + 1, other + 1
    log_tails = [beta.logcdf(0.5, b, a + more) for more in (0, 1)]
    expected = a / (a + b) * math.exp(log_tails[1] - log_tails[0])
    assert law.pmf("Heads") == pytest.approx(expected, rel=1e-8)


def test_a_told_side_that_was_never_seen_stays_the_likelier_one_after_many_flips():
    law = predictive(["Tails"] * 5000, likelier="Heads")
    assert 0.5 < law.pmf("Heads") < 0.5002


def test_a_wrong_label_is_named():
    with pytest.raises(UserError, match=naming("'Tail'", "Heads, Tails", "'Tails'")):
        predictive(["Tail"])
    with pytest.raises(UserError, match="'edge'"):
        predictive([], likelier="edge")


def test_descriptions_are_true_and_all_wordings_occur():
    rng = generator("coinflip", seed=1)
    kinds = set()
    for _ in range(300):
        draw = sample(rng)
        told = draw.predictive.keywords
        kinds.add((tuple(told), "%" in draw.description, draw.description[:6]))
        if "heads" in told:
            shown = {f"{told['heads']:.{d}f}" for d in (2, 3, 4)} | {
                f"{told['heads']:.{d}%}" for d in (0, 1, 2)
            }
            assert any(text in draw.description for text in shown)
        if "likelier" in told:
            assert f"shows {told['likelier']} more often" in draw.description
    assert len(kinds) > 8


def test_mean_loss_is_near_the_prior_entropy_and_below_that_of_frequencies_alone():
    rng = generator("coinflip", seed=2)
    exact, smoothed = [], []
    for _ in range(1500):
        draw = sample(rng)
        if draw.predictive.keywords or len(draw.outputs) < 5:
            continue
        seen, following = draw.outputs[:4], draw.outputs[4]
        exact.append(-np.log(predictive(seen).pmf(following)))
        smoothed.append(-np.log((seen.count(following) + 0.05) / 4.1))
    assert np.mean(smoothed) > np.mean(exact)
    # Expected loss after n = 4: the mean over heads seen (uniform on 0 … 4) of the predictive's entropy.
    p = (1 + np.arange(5)) / 6
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p)).mean()
    assert abs(np.mean(exact) - entropy) < 4 * np.std(exact) / np.sqrt(len(exact))
