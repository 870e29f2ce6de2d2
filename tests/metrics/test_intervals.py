import math

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from spectrum_trl.metrics import intervals
from spectrum_trl.metrics.intervals import (
    FEWEST,
    FEWEST_UNEQUAL,
    LEAST_SHARE,
    by_cluster,
    clopper_pearson,
    effective_number,
    has_rare_far,
    mean_interval,
    ratio_interval,
    ratio_values,
    stratified_interval,
)
from tests import bench_intervals


@settings(max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=FEWEST, max_size=2 * FEWEST, unique=True))
def test_interval_holds_its_mean_and_keeps_within_bounds(values: list[float]) -> None:
    mean, low, high = mean_interval(values, seed=0, within=(-1e3, 1e3))
    assert mean == pytest.approx(np.mean(values))
    # Values that only a last digit parts are equal, and too few others have no interval.
    if len({round(value, 8) for value in values}) == len(values):
        assert -1e3 <= low <= mean + 1e-9 and mean - 1e-9 <= high <= 1e3


@pytest.mark.parametrize("n", [1, 2, FEWEST - 1])
def test_few_values_have_a_mean_but_no_interval(n: int) -> None:
    values = np.random.default_rng(0).normal(size=n)
    mean, low, high = mean_interval(values, seed=0)
    assert mean == pytest.approx(values.mean()) and math.isnan(low) and math.isnan(high)
    assert math.isfinite(mean_interval(np.arange(FEWEST), seed=0).low)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e8])
def test_values_that_are_all_equal_say_nothing_of_their_spread(value: float) -> None:
    mean, low, high = mean_interval([value] * 50, seed=0)
    assert mean == pytest.approx(value) and math.isnan(low) and math.isnan(high)


def test_clusters_of_unequal_sizes_are_worth_fewer() -> None:
    assert effective_number([3, 3, 3, 3]) == pytest.approx(4)
    assert effective_number([1, 9]) == pytest.approx(100 / 82)
    sums = np.random.default_rng(0).exponential(size=FEWEST)
    assert math.isfinite(ratio_interval(sums, np.ones(FEWEST), seed=0).low)
    for n, there in ((FEWEST_UNEQUAL, False), (FEWEST_UNEQUAL + 3, True)):
        sums, sizes = np.arange(n), [2, *np.ones(n - 1)]
        assert math.isfinite(ratio_interval(sums, sizes, seed=0).low) == there


def test_seed_decides_the_interval_and_the_global_state_is_left_alone() -> None:
    values = np.random.default_rng(0).exponential(size=30)
    state = np.random.get_state()[1].copy()
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)
    assert (np.random.get_state()[1] == state).all()


def clustered_losses(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Losses of sequences of unequal lengths, alike within a sequence, many of them small."""
    sizes = rng.integers(5, 40, size=100)
    levels = rng.lognormal(0, 0.8, size=100)
    return np.array([rng.exponential(level, n).sum() for level, n in zip(levels, sizes, strict=True)]), sizes


DRAWS = {
    "normal": (lambda rng: rng.normal(3, 2, 100), 3.0),
    "exponential": (lambda rng: rng.exponential(1, 100), 1.0),
    "lognormal": (lambda rng: rng.lognormal(0, 1, 100), np.exp(0.5)),
    "gamma": (lambda rng: rng.gamma(0.5, 1, 100), 0.5),
    "mixed": (
        lambda rng: np.where(rng.random(100) < 0.1, rng.exponential(5, 100), rng.exponential(0.2, 100)),
        0.68,
    ),
}
VALUES_OF_LENGTHS = {
    "equal": lambda rng: np.ones(500),
    "one or two": lambda rng: 1.25 + 0.25 * (rng.random(500) < 0.03),
    "normal": lambda rng: rng.normal(10, 2, 500),
    "exponential": lambda rng: 1 + rng.exponential(30, 500),
    "lognormal": lambda rng: 1 + rng.lognormal(3, 1, 500),
}
TRIALS = pytest.mark.parametrize("trials", [100, pytest.param(500, marks=pytest.mark.nightly)])


def is_95_percent(held: int, *, trials: int) -> bool:
    """Whether fewer or more intervals hold the truth by chance in less than one of a hundred cases."""
    least, most = scipy.stats.binom.interval(0.99, trials, 0.95)
    return bool(least <= held <= most)


@TRIALS
@pytest.mark.parametrize("name", DRAWS)
def test_95_of_100_intervals_hold_the_true_mean_of_skewed_losses_too(name: str, trials: int) -> None:
    draw, truth = DRAWS[name]
    rng, held = np.random.default_rng(0), 0
    for trial in range(trials):
        _, low, high = mean_interval(draw(rng), seed=trial)
        held += low <= truth <= high
    assert is_95_percent(held, trials=trials)


@TRIALS
def test_95_of_100_intervals_of_clustered_outputs_hold_the_true_mean(trials: int) -> None:
    rng, held, given, truth = np.random.default_rng(0), 0, 0, np.exp(0.32)
    for trial in range(trials):
        _, low, high = ratio_interval(*clustered_losses(rng), seed=trial)
        held += low <= truth <= high
        # By chance, sizes can seem to go with values: then there is none.
        given += not np.isnan(low)
    assert is_95_percent(held, trials=given) and given > 0.9 * trials


@TRIALS
def test_95_of_100_intervals_over_tasks_hold_the_mean_over_tasks(trials: int) -> None:
    rng, held = np.random.default_rng(0), 0
    for trial in range(trials):
        strata = [rng.exponential(scale, 100) for scale in (0.1, 1.0, 3.0)]
        _, low, high = stratified_interval(strata, seed=trial)
        held += low <= 4.1 / 3 <= high
    assert is_95_percent(held, trials=trials)


def test_outputs_of_one_sequence_are_no_independent_values() -> None:
    rng = np.random.default_rng(0)
    sums, sizes = clustered_losses(rng)
    clustered = ratio_interval(sums, sizes, seed=0)
    assert clustered.mean == pytest.approx(sums.sum() / sizes.sum())
    apart = mean_interval(np.repeat(sums / sizes, sizes), seed=0)
    assert clustered.high - clustered.low > 2 * (apart.high - apart.low)


def test_strata_weigh_the_same_whatever_their_size() -> None:
    strata = [np.array([0.0, 2.0] * 50), np.array([4.0, 6.0])]
    assert stratified_interval(strata, seed=0).mean == 3.0


def test_intervals_reach_farther_on_the_side_of_the_long_tail() -> None:
    values = np.random.default_rng(0).lognormal(size=40)
    for (mean, low, high), factor in (
        (mean_interval(values, seed=0), 1.2),
        # The shorter side is Student's, as wide for two strata as without a tail.
        (stratified_interval([values, values + 1], seed=0), 1.1),
    ):
        assert high - mean > factor * (mean - low)


@pytest.mark.parametrize("sign", [1, -1])
def test_on_the_side_without_a_tail_intervals_are_students_and_on_the_other_wider(sign: int) -> None:
    values = sign * np.random.default_rng(0).lognormal(size=40)
    more = 1.5 * values + 1
    one = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    # Welch's interval of the sum of two means, with Satterthwaite's degrees of freedom.
    two = scipy.stats.ttest_ind(values, -more, equal_var=False).confidence_interval(0.95)
    for found, low, high in (
        (mean_interval(values, seed=0), one.low, one.high),
        (stratified_interval([values, more], seed=0), two.low / 2, two.high / 2),
    ):
        short, long = ((found.low, low), (found.high, high))[::sign]
        assert short[0] == pytest.approx(short[1]) and sign * (long[0] - long[1]) > 0.03


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [[1.0], [2.0]]])
def test_values_without_a_mean_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values, seed=0)


@TRIALS
@pytest.mark.parametrize("rate", [0.01, 0.02, 0.03, 0.05])
def test_intervals_of_rare_events_hold_their_rate(rate: float, trials: int) -> None:
    rng = np.random.default_rng(0)
    ends = [mean_interval(rng.random(100) < rate, seed=0, within=(0.0, 1.0)) for _ in range(trials)]
    assert sum(low <= rate <= high for _, low, high in ends) >= scipy.stats.binom.ppf(0.01, trials, 0.95)


@pytest.mark.parametrize("size", [1, 7])
def test_shares_of_none_or_all_are_not_certain(size: int) -> None:
    sizes = np.full(50, size)
    none, every = (ratio_interval(sums, sizes, seed=0, within=(0, 1)) for sums in (0 * sizes, sizes))
    assert none.low == pytest.approx(0) and 0.05 < none.high < 0.1
    assert every.high == pytest.approx(1) and 0.9 < every.low < 0.95


@TRIALS
@pytest.mark.parametrize("sizes, n", [("equal", FEWEST), ("2 to 31", 66)])
@pytest.mark.parametrize("values", ["normal", "one in ten far off", "lognormal, sigma 1"])
def test_the_fewest_clusters_with_an_interval_are_enough(
    values: str, sizes: str, n: int, trials: int
) -> None:
    held, effective = bench_intervals.coverage(n, values=values, sizes=sizes, trials=trials)
    # 92% of the document, less what so many trials are off by in one of a hundred cases.
    least = scipy.stats.binom.ppf(0.01, trials, 0.92) / trials
    assert effective >= (FEWEST if sizes == "equal" else FEWEST_UNEQUAL) and held >= least


@TRIALS
@pytest.mark.parametrize("n", [1, 2, 5, 20])
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_few_shares_have_an_interval_that_holds(n: int, rate: float, trials: int) -> None:
    held = bench_intervals.share_coverage(n, rate=rate, trials=trials)
    assert held >= scipy.stats.binom.ppf(0.01, trials, 0.95) / trials


def test_the_documented_coverage_supports_the_fewest() -> None:
    text = bench_intervals.DOCUMENT.read_text("utf-8")
    means = text.split("### Shares")[0].split("### Clusters of size: ")[1:]
    assert len(means) == len(bench_intervals.SIZES)
    for table in means:
        lines = [line.strip("|").split("|") for line in table.splitlines() if "|" in line]
        rows = [[float(cell) for cell in line] for line in lines if line[0].strip().isdigit()]
        assert len(rows) == len(bench_intervals.NUMBERS)
        equal = table.startswith("equal")
        given = [
            held
            for n, effective, *held in rows
            if effective >= (FEWEST if equal else max(FEWEST_UNEQUAL, LEAST_SHARE * n))
        ]
        assert min(map(min, given), default=100) >= 92 and (given or not equal)


@pytest.mark.parametrize(("others", "given"), [(9, False), (10, True)])
@pytest.mark.parametrize("within", [(-math.inf, math.inf), (0, 1)])
def test_nearly_equal_values_have_no_interval(others: int, given: bool, within: tuple[float, float]) -> None:
    values = [*np.linspace(0.1, 0.4, others), *[0.5] * 50]
    assert math.isfinite(mean_interval(values, seed=0, within=within).low) == given


def test_a_mean_over_tasks_of_few_rows_has_no_interval() -> None:
    rng = np.random.default_rng(0)
    few, many = ([rng.normal(size=n) for _ in range(2)] for n in (10, 30))
    assert math.isnan(stratified_interval(few, seed=0).low)
    assert math.isfinite(stratified_interval(many, seed=0).low)


def test_zeros_and_ones_of_clusters_of_unequal_sizes_are_no_exact_shares() -> None:
    # Those that are there say nothing of how large the others may be.
    sizes = np.arange(20.0, 70)
    for few in (np.zeros(50), np.isin(np.arange(50), (3, 30))):
        assert math.isnan(ratio_interval(few * sizes, sizes, seed=0, within=(0, 1)).low)
    some = ratio_interval(sizes * (np.arange(50) % 3 == 0), sizes, seed=0, within=(0, 1))
    assert 0 < some.low < 1 / 3 < some.high < 0.6


def test_shares_of_clusters_have_the_degrees_of_freedom_of_clusters_and_trials() -> None:
    # Korn and Graubard (1998): trials of the design's error, times the squared ratio of Student's quantiles.
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 6, size=45)
    hits = rng.binomial(sizes, rng.beta(1, 9, size=45))
    share, n = hits.sum() / sizes.sum(), 45
    without = (hits.sum() - hits) / (sizes.sum() - sizes)
    variance = (n - 1) / n * ((without - share) ** 2).sum()
    of_trials, of_clusters = (
        scipy.stats.t.ppf(0.975, df) for df in (sizes.sum() - 1, effective_number(sizes) - 1)
    )
    trials = share * (1 - share) / variance * (of_trials / of_clusters) ** 2
    expected = (
        scipy.stats.beta.ppf(0.025, share * trials, trials - share * trials + 1),
        scipy.stats.beta.ppf(0.975, share * trials + 1, trials - share * trials),
    )
    found = intervals._clustered_share(hits.astype(float), sizes.astype(float))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rate", [0.03, 0.9])
def test_an_interval_of_a_share_of_clusters_holds_the_exact_one_of_its_trials(rate: float) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(4, 7, size=80).astype(float)
    hits = rng.binomial(sizes.astype(int), rate).astype(float)
    low, high = intervals._clustered_share(hits, sizes)
    other = ratio_interval(hits, sizes, seed=0)
    found = ratio_interval(hits, sizes, seed=0, within=(0, 1))
    assert found[1:] == (min(low, other.low), max(high, other.high)) and found != other


@pytest.mark.parametrize(
    ("spread", "together", "given"),
    [(0.45, False, True), (0.45, True, False), (0.2, True, True), (0.7, False, False)],
)
def test_unequal_clusters_have_an_interval_where_few_large_ones_cannot_decide(
    spread: float, together: bool, given: bool
) -> None:
    rng = np.random.default_rng(0)
    values = np.sort(rng.normal(size=150))
    scores = rng.normal(size=150)
    sizes = np.exp(spread * (np.sort(scores) if together else scores))
    assert math.isfinite(ratio_interval(values * sizes, sizes, seed=0).low) == given


def test_the_documented_intervals_of_clusters_hold() -> None:
    text = bench_intervals.DOCUMENT.read_text("utf-8")
    for title in ("Clusters whose size correlates", "Clustered shares", "Paired differences"):
        (table,) = [part for part in text.split("### ")[1:] if part.startswith(title)]
        rows = [line.strip("|").split("|") for line in table.splitlines() if "|" in line][2:]
        found = [cell.strip() for row in rows for cell in row[3:]]
        assert {"none"} < set(found) and all(cell == "none" or float(cell) >= 92 for cell in found)


@given(
    n=st.floats(1, 1e4), share=st.sampled_from((0, 1)) | st.floats(1e-6, 1), confidence=st.floats(0.5, 0.999)
)
def test_the_exact_interval_of_a_share_is_statsmodels(n: float, share: float, confidence: float) -> None:
    expected = proportion_confint(share * n, n, alpha=1 - confidence, method="beta")
    assert clopper_pearson(share * n, n, confidence=confidence) == pytest.approx(expected, abs=1e-9)


def test_rows_of_a_cluster_are_added_up_and_empty_ones_left_out() -> None:
    rows = [(1.0, 2, "a"), (4.0, 0, "empty"), (0.5, 1, "b"), (2.0, 3, "a")]
    assert by_cluster(rows) == ([3.0, 0.5], [5.0, 1.0])
    # Without a name each row is its own.
    assert by_cluster([(1.0, 2), (3.0, 4)]) == ([1.0, 3.0], [2.0, 4.0])


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(1, 6)), min_size=2, max_size=20))
def test_the_mean_of_a_ratios_values_is_the_ratio(rows: list[tuple[float, int]]) -> None:
    sums, counts = np.array(rows).T
    values = ratio_values(sums, counts)
    assert values.mean() == pytest.approx(sums.sum() / counts.sum(), abs=1e-9)
    # Each value but the mean is linear in its cluster's own excess over the common ratio.
    excess = sums - counts * sums.sum() / counts.sum()
    assert (values - values.mean()) * counts.mean() == pytest.approx(excess, abs=1e-9)


def ratings_and_texts(rng: np.random.Generator, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths and losses of 20,000 people: short ratings, and this share of long texts."""
    long = rng.random(20_000) < share
    texts = rng.lognormal(4.5, 0.6, long.size)
    losses = np.where(long, texts, rng.normal(0.5, 0.15, long.size).clip(0.05))
    return np.where(long, 1 + texts * rng.uniform(0.2, 0.5, long.size), 1.25), losses


@TRIALS
@pytest.mark.parametrize(
    ("share", "n", "given"),
    [
        *((0.03, 29, False), (0.05, 29, False), (0.1, 29, False), (0.1, 60, False)),
        *((0.2, 60, True), (0.5, 29, True)),
    ],
)
def test_means_of_few_long_texts_among_ratings_have_an_interval_that_holds_or_none(
    share: float, n: int, given: bool, trials: int
) -> None:
    rng, held = np.random.default_rng(0), 0
    lengths, losses = ratings_and_texts(rng, share)
    assert has_rare_far(lengths, n=n) != given
    for trial in range(trials):
        _, low, high = mean_interval(rng.choice(losses, n), seed=trial)
        held += low <= losses.mean() <= high
    if given:
        assert held >= scipy.stats.binom.ppf(0.01, trials, 0.92)
    elif share < 0.1:
        # The values alone do not show it: many samples hold no text.
        assert held < scipy.stats.binom.ppf(0.01, trials, 0.92)


@pytest.mark.parametrize("values", VALUES_OF_LENGTHS)
def test_lengths_without_rare_long_ones_withhold_nothing(values: str) -> None:
    lengths = VALUES_OF_LENGTHS[values](np.random.default_rng(0))
    assert not has_rare_far(lengths, n=FEWEST)
