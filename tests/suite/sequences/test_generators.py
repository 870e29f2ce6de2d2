import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.generators import (
    count_labels,
    finite,
    generator,
    quadrature,
    read_whole_numbers,
    stated,
    whole_numbers,
)
from tests.messages import naming


def test_the_generator_depends_on_seed_and_name_only():
    first = generator("poisson", seed=3).random(4).tolist()
    assert generator("poisson", seed=3).random(4).tolist() == first
    assert generator("poisson", seed=4).random(4).tolist() != first
    assert generator("geometric", seed=3).random(4).tolist() != first


@given(st.floats(0, 1), st.integers(1, 6))
def test_what_a_wording_tells_is_what_it_prints(p, places):
    described, told = stated(
        np.random.default_rng(0), templates=["{n} trials, p = {p}"], decimals=[places], n=7, p=p
    )
    assert described == f"7 trials, p = {told['p']:.{places}f}"
    assert float(described.split()[-1]) == told["p"] > 0
    assert abs(told["p"] - p) <= 10.0**-places
    assert told["n"] == 7


def test_a_parameter_that_a_wording_leaves_out_is_not_told():
    assert stated(np.random.default_rng(0), templates=["name"], p=0.5) == ("name", {})


@given(st.text(max_size=30) | st.integers().map(str))
def test_only_plain_numbers_within_the_limits_have_probability(text):
    law = whole_numbers(lambda k: 0.25, low=1, high=4)
    assert law.support == ("1", "2", "3", "4")
    assert law.pmf(text) == (0.25 if text in law.support else 0)


@pytest.mark.parametrize("text", ["01", "+1", " 1", "1.0", "１", "²", "", "-1", "9" * 5000])
def test_other_spellings_of_numbers_have_no_probability_and_are_refused(text):
    assert whole_numbers(lambda k: 1.0).pmf(text) == 0
    with pytest.raises(UserError, match="output 2 is"):
        read_whole_numbers(["3", text])


def test_all_wrong_outputs_are_named_at_once():
    with pytest.raises(UserError) as error:
        read_whole_numbers(["5", "x", "2", "11"], low=3, high=10)
    assert len(error.value.problems) == 3
    assert all("from 3 to 10" in problem for problem in error.value.problems)
    with pytest.raises(UserError, match=naming("'heads'", "'Heads'")):
        count_labels(["heads"], labels=("Heads", "Tails"))


def test_zero_probabilities_are_outside_a_finite_support():
    law = finite({"a": 1.0, "b": 0.0})
    assert law.support == ("a",)
    assert (law.pmf("a"), law.pmf("b"), law.pmf("c")) == (1, 0, 0)


@given(st.integers(0, 200), st.integers(0, 200))
def test_quadrature_integrates_beta_densities(heads, tails):
    nodes, log_weights = quadrature(0, 1)
    means = np.exp(log_weights + heads * np.log(nodes) + tails * np.log1p(-nodes))
    assert (means * nodes).sum() / means.sum() == pytest.approx((heads + 1) / (heads + tails + 2), rel=1e-9)
