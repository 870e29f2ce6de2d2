"""No metric or interval depends on the order of its rows, and equal values are treated alike."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.metrics import calibration, distributional, diversity, icl, intervals

MODULES = (calibration, distributional, diversity, icl, intervals)
# Few different values, so that many are equal.
LOGS = st.lists(st.sampled_from([math.log(p) for p in (0.02, 0.1, 0.25, 0.5, 0.75)]), max_size=40)
NUMBERS = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0]), min_size=25, max_size=60)
PROBABILITIES = st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.1, 0.2]), min_size=2, max_size=5)
TEXTS = st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), min_size=2, max_size=40)
# How each metric is called on rows; a row is whatever belongs together.
Call = Callable[[list[Any]], Any]


def columns(rows: list[Any]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def calibrated(function: Callable[..., float]) -> Call:
    def call(rows: list[tuple[float, bool]]) -> float:
        return function([p for p, came in rows if came], [p for p, came in rows if not came])

    return call


def share_of_the_likeliest(logs: list[float]) -> float:
    """Call with the right label wherever it stands."""
    return icl.share_right(logs, right=logs.index(max(logs)))


TOKENS = st.lists(
    st.tuples(st.sampled_from([math.log(p) for p in (0.02, 0.1, 0.5, 0.8)]), st.booleans()),
    min_size=11,
    max_size=60,
)
PLACES = st.lists(
    st.sampled_from(
        [(0.02, [0.9]), (0.5, [0.5]), (0.5, [0.2, 0.3]), (0.001, []), (0.25, [0.25, 0.25, 0.25])]
    ),
    max_size=60,
)
ANSWERS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([0.0, 0.05, 0.1])), min_size=2, max_size=8
)
CLUSTERS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.sampled_from([1, 2, 5])), min_size=30, max_size=60
)
SWEPT: dict[Callable[..., Any], tuple[st.SearchStrategy[list[Any]], Call]] = {
    calibration.calibration_error: (TOKENS, calibrated(calibration.calibration_error)),
    calibration.calibration_curve: (TOKENS, calibrated(calibration.calibration_curve)),
    calibration.calibration_error_as_published: (
        TOKENS,
        calibrated(calibration.calibration_error_as_published),
    ),
    calibration.calibration_error_by_chance: (
        PLACES,
        lambda rows: calibration.calibration_error_by_chance(
            [math.log(own) for own, _ in rows], [np.log(others) for _, others in rows]
        ),
    ),
    distributional.compare: (ANSWERS, lambda rows: distributional.compare(*columns(rows))),
    distributional.compare_logs: (
        ANSWERS,
        lambda rows: distributional.compare_logs(
            [target for target, _ in rows], [math.log(observed + 0.01) for _, observed in rows]
        ),
    ),
    distributional.expected_total_variation: (
        NUMBERS.filter(any),
        lambda rows: distributional.expected_total_variation(rows, n=20),
    ),
    distributional.noise_floor: (
        NUMBERS.filter(any),
        lambda rows: distributional.noise_floor(rows, n=20),
    ),
    distributional.uniform_guess: (NUMBERS.filter(any), distributional.uniform_guess),
    distributional.summary_as_published: (NUMBERS, distributional.summary_as_published),
    diversity.summarise: (TEXTS, lambda rows: diversity.summarise(*columns(rows))),
    diversity.sample_intervals: (
        TEXTS,
        lambda rows: list(diversity.sample_intervals(*columns(rows)).values()),
    ),
    diversity.expected_yield: (PROBABILITIES, lambda rows: diversity.expected_yield(rows, n=10)),
    diversity.expected_unique: (PROBABILITIES, lambda rows: diversity.expected_unique(rows, n=10)),
    intervals.mean_interval: (NUMBERS, lambda rows: intervals.mean_interval(rows, seed=0)),
    intervals.ratio_interval: (CLUSTERS, lambda rows: intervals.ratio_interval(*columns(rows), seed=0)),
    intervals.effective_number: (NUMBERS.map(lambda rows: [n + 1 for n in rows]), intervals.effective_number),
    intervals.stratified_interval: (
        st.lists(NUMBERS, min_size=2, max_size=4),
        lambda rows: intervals.stratified_interval(rows, seed=0),
    ),
    intervals.has_rare_far: (
        NUMBERS.map(lambda rows: [n + 1 for n in rows]),
        lambda rows: float(intervals.has_rare_far(rows, n=20)),
    ),
    icl.share_right: (
        st.lists(st.tuples(st.sampled_from([-2.0, -1.0, -0.5]), st.just(False)), min_size=1, max_size=8),
        # The right label is one of them, wherever it stands.
        lambda rows: share_of_the_likeliest([log for log, _ in rows]),
    ),
    icl.automatic_k: (
        st.lists(st.integers(-1, 9), min_size=1, max_size=30),
        lambda rows: (found := icl.automatic_k(rows)) and (found.k, len(found.kept)),
    ),
}
# Answer in the order that they were asked in, or name the first of several: what they are for.
IN_ORDER = {
    distributional.compare_as_published,
    distributional.ordinal_distance,
    diversity.clean,
    diversity.clean_as_published,
    icl.label_baselines,
    icl.marginal_baselines,
    icl.unigram_losses,
    intervals.by_cluster,
    intervals.clustered_ends,
    intervals.clopper_pearson,
    intervals.places,
    intervals.ratio_values,
}


def test_every_metric_is_swept() -> None:
    public = {
        function
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public - set(SWEPT) - IN_ORDER == set()


@pytest.mark.parametrize("metric", SWEPT, ids=lambda metric: metric.__name__)
def test_metrics_do_not_depend_on_the_order_of_their_rows(metric: Callable[..., Any]) -> None:
    rows, call = SWEPT[metric]

    @settings(max_examples=25, deadline=None)
    @given(rows, st.randoms(use_true_random=False))
    def check(given_rows: list[Any], rng: Any) -> None:
        shuffled = list(given_rows)
        rng.shuffle(shuffled)
        expected, found = np.ravel(flat(call(given_rows))), np.ravel(flat(call(shuffled)))
        assert found == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-12)

    check()


def flat(value: Any) -> list[float]:
    if isinstance(value, tuple | list):
        return [number for part in value for number in flat(part)]
    return [float("nan") if value is None else float(value)]


@pytest.mark.parametrize("sides", [2, 6])
def test_a_fair_coin_and_a_fair_die_are_calibrated(sides: int) -> None:
    log = math.log(1 / sides)
    throws = 60
    assert calibration.calibration_error([log] * throws, [log] * (sides - 1) * throws) == pytest.approx(0)
    # Nor can chance make an error where one of the sides always comes.
    rivals = [[log] * (sides - 1)] * throws
    assert calibration.calibration_error_by_chance([log] * throws, rivals) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("p", [0.5, 0.1234565, 0.0900005])
def test_probabilities_that_a_last_digit_parts_are_equal_wherever_they_lie(p: float) -> None:
    # A share p of what is given p comes, but the two are computed in two ways.
    n, hits = 2_000_000, round(2_000_000 * p)
    came, others = np.full(hits, np.nextafter(p, 1)), np.full(n - hits, np.nextafter(p, 0))
    assert calibration.calibration_error(np.log(came), np.log(others)) < 1e-6


@pytest.mark.parametrize("value", [1.5e-12, 0.1, 1234567.8])
def test_values_that_a_last_digit_parts_are_equal_to_an_interval(value: float) -> None:
    others = value * np.linspace(2, 3, 9)
    values = [*np.full(25, value), *np.full(25, np.nextafter(value, 0)), *others]
    assert math.isnan(intervals.mean_interval(values, seed=0).low)
    more = [*values, value * 4]
    assert math.isfinite(intervals.mean_interval(more, seed=0).low)


def test_rounding_does_not_part_equal_probabilities() -> None:
    rng = np.random.default_rng(0)
    came, others = (np.log(0.5) + rng.uniform(-1e-8, 1e-8, 100) for _ in range(2))
    assert calibration.calibration_error(np.sort(came), np.sort(others)) == pytest.approx(0, abs=1e-7)
