import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.generators import generator
from spectrum_trl.suite.synthetic.normal import NARROW, parameters, predictive, sample, written
from tests.messages import naming


@given(st.floats(-50, 50), st.floats(0.01, 2), st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_probabilities_of_all_rounded_numbers_sum_to_one(mean, sd, decimals):
    law = predictive([], mean=mean, sd=sd, decimals=decimals)
    step = Fraction(1, 10**decimals)
    first, last = (math.floor((mean + side * (9 * sd + 1)) / step) for side in (-1, 1))
    stride = [written(float(cell * step), decimals=decimals) for cell in range(first, last + 1)]
    assert len(set(stride)) == len(stride)
    assert sum(map(law.pmf, stride)) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("width", [0.2 * NARROW, 0.99 * NARROW, 1.01 * NARROW, 5 * NARROW])
@pytest.mark.parametrize("z", [0, 1.5, -3])
def test_narrow_cells_have_the_probability_of_density_times_width(width, z):
    sd = 0.01 / width
    law = predictive([], mean=0.0, sd=sd, decimals=2)
    value = round(z * sd, 2)
    expected = math.exp(-0.5 * (value / sd) ** 2) / math.sqrt(2 * math.pi) * width
    assert law.pmf(f"{value:.2f}") == pytest.approx(expected, rel=1e-6)


def test_far_tails_are_symmetric_and_keep_their_precision():
    law = predictive([], mean=0.0, sd=1.0, decimals=1)
    assert law.pmf("9.0") == pytest.approx(law.pmf("-9.0"), rel=1e-12)
    assert law.pmf("9.0") > 0


def test_only_texts_with_the_told_decimals_have_probability():
    law = predictive([], mean=0.0, sd=1.0, decimals=2)
    for text in ("0.1", "0.100", "-0.00", "+0.10", "0.10 ", "1e-1", "nan", "inf", "", "٠.١٠", "x"):
        assert law.pmf(text) == 0
    assert law.pmf("0.10") > 0
    with pytest.raises(UserError, match=naming("output 2", "'0.1'", "2 decimals")):
        predictive(["0.10", "0.1"], mean=0.0, sd=1.0, decimals=2)


def test_no_spread_puts_all_probability_on_the_rounded_mean():
    law = predictive([], mean=-1.006, sd=0.0, decimals=2)
    assert (law.support, law.pmf("-1.01"), law.pmf("-1.00")) == (("-1.01",), 1, 0)
    assert predictive([], mean=1.0, sd=1e-320, decimals=2).pmf("1.00") == 1
    assert predictive([], mean=-0.001, sd=0.0, decimals=2).support == ("0.00",)


def test_samples_are_finite_have_one_number_of_decimals_and_told_values_are_printed():
    rng = generator("normal", seed=12)
    told, kinds = 0, set()
    for _ in range(1500):
        draw = sample(rng)
        places = {len(text.partition(".")[2]) for text in draw.outputs}
        assert len(places) == 1
        assert all(math.isfinite(float(text)) and text not in ("-0", "-0.0") for text in draw.outputs)
        assert all(len(text.lstrip("-").replace(".", "")) <= 17 for text in draw.outputs)
        kinds.add("".join(c for c in draw.description if not c.isdigit())[:12])
        if draw.predictive:
            told += 1
            known = draw.predictive.keywords
            assert known["decimals"] == places.pop()
            shown = [
                float(x)
                for x in draw.description.replace("=", " ").translate(SEPARATORS).split()
                if number(x)
            ]
            assert known["mean"] in shown
            assert known["sd"] in shown
            assert known["sd"] > 0
    assert 300 < told < 600
    assert len(kinds) > 5


SEPARATORS = str.maketrans("(),[]:", "      ")


def number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_the_mixture_has_negative_means_and_scales_of_many_magnitudes():
    rng = np.random.default_rng(3)
    values = [parameters(rng) for _ in range(4000)]
    negative = np.mean([mean < 0 for mean, _ in values])
    assert abs(negative - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 4000)
    sds = np.log(np.array([sd for _, sd in values if sd > 0]))
    assert sds.min() < -10
    assert sds.max() > 10


def test_an_sd_drawn_as_zero_stays_zero():
    class Zero(np.random.Generator):
        def poisson(self, *args, **kwargs):
            return 0

    rng = Zero(np.random.PCG64(1))
    seen = {parameters(rng)[1] for _ in range(200)}
    assert 0.0 in seen
    assert all(math.isfinite(sd) for sd in seen)


def test_probabilities_match_frequencies_on_samples_of_the_task():
    """Quantile of each sample under the told distribution, smeared inside its cell: uniform on average."""
    rng = generator("normal", seed=13)
    errors = []
    for _ in range(600):
        draw = sample(rng)
        if not draw.predictive:
            continue
        known = draw.predictive.keywords
        law, step = draw.predictive(draw.outputs[:-1]), 10.0 ** -known["decimals"]
        if not 0.02 < step / known["sd"] < 3:
            continue
        half = math.ceil(0.7 * known["sd"] / step)
        centre = round(known["mean"] / step)
        near = [written((centre + i) * step, decimals=known["decimals"]) for i in range(-half, half + 1)]
        errors.append(sum(map(law.pmf, near)) - (draw.outputs[-1] in near))
    assert len(errors) > 15
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))
