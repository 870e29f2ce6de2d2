import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.metrics.intervals import mean_interval


@settings(max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_interval_holds_its_mean_and_stays_within_the_data(values: list[float]) -> None:
    mean, low, high = mean_interval(values, seed=0)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= low <= high <= max(values) + slack
    assert mean == pytest.approx(np.mean(values))


def test_one_value_has_a_mean_but_no_interval() -> None:
    mean, low, high = mean_interval([2.5], seed=0)
    assert mean == 2.5 and math.isnan(low) and math.isnan(high)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e8])
def test_constant_values_have_an_interval_of_width_zero(value: float) -> None:
    mean, low, high = mean_interval([value] * 7, seed=0)
    assert mean == low == high == pytest.approx(value)


def test_seed_decides_the_interval_and_the_global_state_is_left_alone() -> None:
    values = np.random.default_rng(0).exponential(size=30)
    state = np.random.get_state()[1].copy()
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)
    assert (np.random.get_state()[1] == state).all()


def test_about_95_percent_of_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        _, low, high = mean_interval(rng.normal(3.0, 2.0, size=40), seed=trial)
        held += low <= 3.0 <= high
    assert 0.89 <= held / 200 <= 0.99


def test_higher_confidence_gives_a_wider_interval() -> None:
    values = np.random.default_rng(0).normal(size=50)
    narrow, wide = (mean_interval(values, seed=0, confidence=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [[1.0], [2.0]]])
def test_values_without_a_mean_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values, seed=0)
