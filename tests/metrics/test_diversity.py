import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from spectrum_trl.metrics.diversity import (
    clean,
    clean_as_published,
    expected_unique,
    expected_yield,
    sample_intervals,
    summarise,
)

GOLDEN_NAMES = {
    "share_valid": "percent_valid",
    "share_unique": "unique_gens_pct",
    "yield_count": "unique_valid_count",
    "yield_share": "usable_unique_pct",
    "unique_of_all": "raw_unique_pct",
    "collision": "pairwise_collision",
    "recall": "coverage_pct",
}
flagged = st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=30)


def test_summaries_give_the_golden_values(golden: Path) -> None:
    for case in json.loads((golden / "metrics.json").read_text("utf-8"))["diversity"]["cases"]:
        found = summarise(case["generations"], case["validity"], possible=case["valid_strings"])
        expected = {name: case["expected"][theirs] for name, theirs in GOLDEN_NAMES.items()}
        assert found._asdict() == pytest.approx({**expected, "n": len(case["generations"])}), case["kind"]


@given(flagged)
def test_shares_are_bounded_and_consistent(samples: list[tuple[str, bool]]) -> None:
    found = summarise([text for text, _ in samples], [valid for _, valid in samples])
    assert found.yield_count <= found.n == len(samples)
    assert all(
        0 <= share <= 1
        for share in (
            found.share_valid,
            found.share_unique,
            found.yield_share,
            found.unique_of_all,
            found.collision,
        )
    )
    assert found.yield_share == pytest.approx(found.share_valid * found.share_unique)
    assert found.recall is None


@given(flagged, st.randoms(use_true_random=False))
def test_order_of_the_samples_does_not_matter(samples: list[tuple[str, bool]], random: object) -> None:
    shuffled = samples.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert (
        summarise(*zip(*samples, strict=True)) == summarise(*zip(*shuffled, strict=True)) if samples else True
    )


@pytest.mark.parametrize("generations", [[], ["x", "y"]])
def test_without_valid_samples_everything_is_zero_and_nothing_nan(generations: list[str]) -> None:
    found = summarise(generations, [False] * len(generations), possible=[])
    assert (found.share_valid, found.share_unique, found.yield_count, found.yield_share) == (0, 0, 0, 0)
    assert found.recall == 0 and found.collision == 0


def test_a_missing_flag_is_refused() -> None:
    with pytest.raises(ValueError):
        summarise(["a", "b"], [True])


@pytest.mark.parametrize("probabilities", [{"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.6, "b": 0.1}])
def test_expected_yield_is_the_mean_over_all_possible_draws(probabilities: dict[str, float]) -> None:
    outcomes = {**probabilities, "": 1 - sum(probabilities.values())}
    mean = sum(
        math.prod(outcomes[text] for text in draw) * len(set(draw) - {""})
        for draw in itertools.product(outcomes, repeat=4)
    )
    assert expected_yield(list(probabilities.values()), n=4) == pytest.approx(mean)


def test_published_cleaning_is_the_golden_one(golden: Path) -> None:
    cleaning = json.loads((golden / "metrics.json").read_text("utf-8"))["diversity"]["cleaning"]
    for case in cleaning["cases"]:
        assert clean_as_published(case["raw"], stops=cleaning["stop_strings"]) == case["expected"]


def test_published_aggregate_is_the_golden_one(golden: Path) -> None:
    section = json.loads((golden / "metrics.json").read_text("utf-8"))["diversity"]
    for theirs in GOLDEN_NAMES.values():
        values = [case["expected"][theirs] for case in section["cases"]]
        values = [value for value in values if value is not None]
        expected = section["aggregate"]
        assert np.mean(values) == pytest.approx(expected[f"mean_{theirs}"])
        assert np.std(values) == pytest.approx(expected[f"std_{theirs}"])


def test_the_earliest_stop_cuts() -> None:
    assert clean(" Brie\nGouda<eos>", stops=("<eos>", "\n")) == "Brie"
    assert clean("Brie", stops=("\n",)) == "Brie" and clean("", stops=("\n",)) == ""


def test_an_exact_sampler_is_compared_at_the_same_number_of_valid_samples() -> None:
    assert (expected_yield([0.5, 0.5], n=1), expected_unique([0.5, 0.5], n=1)) == (1.0, 1.0)
    assert (expected_yield([0.5, 0.5], n=2), expected_unique([0.5, 0.5], n=2)) == (1.5, 0.75)
    assert (expected_yield([1.0], n=0), expected_unique([1.0], n=0)) == (0.0, 0.0)


SHAPES = {
    "uniform over 50": np.full(50, 0.02),
    "uniform over 1,000": np.full(1000, 0.001),
    "Zipf": 1 / np.arange(1, 301) / (1 / np.arange(1, 301)).sum(),
    "4% valid": np.full(5000, 0.04 / 5000),
    "uniform over 5,000": np.full(5000, 1 / 5000),
    "collapsed": np.array([0.9, *[0.1 / 30] * 30]),
}


TRIALS = pytest.mark.parametrize("trials", [100, pytest.param(500, marks=pytest.mark.nightly)])


@TRIALS
@pytest.mark.parametrize("shape", SHAPES)
def test_about_95_of_100_intervals_hold_the_expected_yield(shape: str, trials: int) -> None:
    p, rng, held = SHAPES[shape], np.random.default_rng(0), 0
    truth = expected_yield(p, n=100)
    for _ in range(trials):
        drawn = rng.choice(p.size + 1, size=100, p=np.append(p, max(0.0, 1 - p.sum())))
        interval = sample_intervals([str(n) for n in drawn], [n < p.size for n in drawn])["yield_count"]
        held += interval.low <= truth <= interval.high
    assert held >= binom.ppf(0.01, trials, 0.95)


@TRIALS
@pytest.mark.parametrize("n", [100, 30])
@pytest.mark.parametrize("shape", ["uniform over 50", "Zipf", "collapsed"])
def test_about_95_of_100_intervals_hold_the_chance_that_two_samples_agree(
    shape: str, n: int, trials: int
) -> None:
    p, rng, held = SHAPES[shape], np.random.default_rng(0), 0
    truth = float((p**2).sum())
    for _ in range(trials):
        drawn = rng.choice(p.size, size=n, p=p)
        interval = sample_intervals([str(one) for one in drawn], [True] * n)["collision"]
        held += interval.low <= truth <= interval.high
    assert held >= binom.ppf(0.01, trials, 0.95)


def test_intervals_of_nothing_valid_and_of_one_text_are_sound() -> None:
    none = sample_intervals(["a", "b"], [False, False])
    assert (
        none["yield_count"][:2] == (0, 0)
        and none["share_unique"] == (0, 0, 1)
        and none["share_valid"].low == 0 < none["share_valid"].high
    )
    same = sample_intervals(["a"] * 100, [True] * 100)
    assert same["yield_count"].mean == same["yield_count"].low == 1
    assert none["collision"].mean == 0 and np.isnan(none["collision"][1:]).all()
    assert sample_intervals(["a", "a"], [True, True])["collision"].mean == 1
    few = sample_intervals(["a"] * 19, [True] * 19)
    assert few["collision"].mean == 1 and np.isnan(few["collision"][1:]).all()
    assert same["collision"].mean == same["collision"].high == 1
    # As of 50 pairs without a common sample.
    assert same["collision"].low == pytest.approx(proportion_confint(50, 50, method="wilson")[0])
    assert sample_intervals(["a"] * 20, [True] * 20)["collision"].low > 0.7
    assert sample_intervals(["a"], [True])["collision"].mean == 0
    assert none["unique_of_all"] == (1, 0.5, 1) and 0 < same["unique_of_all"].low <= 0.01


def test_the_share_of_different_ones_among_few_valid_is_wide_in_both_directions() -> None:
    texts = ["a", "b", "c", "c", *map(str, range(96))]
    unique = sample_intervals(texts, [n < 4 for n in range(100)])["share_unique"]
    # Of four, two came once: 1.96 * sqrt(4 * (1 - 2 / 6)) texts to either side.
    assert unique.mean == 0.75 and unique.low < 0.05 and unique.high == 1
    texts = ["a", *["b"] * 9, *map(str, range(90))]
    unique = sample_intervals(texts, [n < 10 for n in range(100)])["share_unique"]
    assert unique.high == pytest.approx((2 + 1.959964 * (3 * (1 - 1 / 12)) ** 0.5) / 10, rel=1e-6)


def test_the_interval_of_equal_pairs_is_wilsons_of_as_many_independent_pairs() -> None:
    texts, n = ["a"] * 11 + ["b"] * 6 + ["c"] * 3 + [str(number) for number in range(10)], 30
    agree = np.array([[one == other for other in texts] for one in texts]) & ~np.eye(n, dtype=bool)
    share = agree.sum() / (n * (n - 1))
    # The variance of a mean over all pairs that share their samples (Hoeffding 1948).
    of_samples = (agree.sum(axis=1) / (n - 1)).var(ddof=1)
    variance = (2 * (n - 2) * of_samples + share * (1 - share)) / (n * (n - 1) / 2)
    pairs = share * (1 - share) / variance
    found = sample_intervals(texts, [True] * n)["collision"]
    expected = proportion_confint(share * pairs, pairs, alpha=0.05, method="wilson")
    assert found == pytest.approx((share, *expected), rel=1e-9)


def test_different_texts_and_few_valid_ones_are_not_certain() -> None:
    texts = [str(n) for n in range(100)]
    every, few = (
        sample_intervals(texts, [n < valid for n in range(100)])["yield_count"] for valid in (100, 4)
    )
    assert every.low < 98 and few.low < 2 and few.high > 6
