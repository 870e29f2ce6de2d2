import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from spectrum_trl.metrics.distributional import (
    compare,
    compare_as_published,
    compare_logs,
    expected_total_variation,
    noise_floor,
    ordinal_distance,
    summary_as_published,
    uniform_guess,
)

LN2 = math.log(2)
POSITIVE = st.floats(1e-6, 1.0)


def weights(n: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.one_of(st.just(0.0), POSITIVE), min_size=n, max_size=n).filter(any)


pairs = st.integers(1, 12).flatmap(lambda n: st.tuples(weights(n), weights(n)))


@pytest.fixture(scope="module")
def section(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "metrics.json").read_text("utf-8"))["distributional"]


def test_published_definition_gives_the_golden_values(section: dict[str, Any]) -> None:
    for case in section["cases"]:
        found = compare_as_published(case["target"], case["observed"])._asdict()
        golden = {name: found[name] for name in case["expected"]}
        assert golden == pytest.approx(case["expected"], rel=1e-6, abs=1e-12), case["kind"]


def test_means_of_the_published_definition_give_the_golden_summary(section: dict[str, Any]) -> None:
    found = [compare_as_published(case["target"], case["observed"]) for case in section["cases"]]
    means = dict(zip(found[0]._fields, np.mean(found, axis=0), strict=True))
    golden = {name: one["mean"] for name, one in section["summary"].items() if name in means}
    assert {name: means[name] for name in golden} == pytest.approx(golden, rel=1e-6) and golden


def test_sound_definition_agrees_with_the_golden_values_but_for_the_smoothing(
    section: dict[str, Any],
) -> None:
    for case in section["cases"]:
        found, expected = compare(case["target"], case["observed"]), case["expected"]
        assert found.coverage == pytest.approx(expected["coverage"], rel=1e-9)
        assert found.js_divergence == pytest.approx(expected["js_divergence"], abs=1e-4)
        if min(case["observed"]) > 0:
            assert found.kl_divergence == pytest.approx(expected["kl_divergence"], rel=0.02, abs=1e-3)
        if case["kind"].startswith("random"):
            assert found.mode_match == expected["mode_match"]


@given(pairs)
def test_divergences_agree_with_scipy(pair: tuple[list[float], list[float]]) -> None:
    target, observed = pair
    found = compare(target, observed)
    # scipy takes a root, which is NaN where rounding makes the divergence negative.
    assert found.js_divergence == pytest.approx(
        np.nan_to_num(jensenshannon(target, observed)) ** 2, abs=1e-12
    )
    assert found.kl_divergence == pytest.approx(entropy(target, observed), abs=1e-12)
    assert found.reverse_kl == pytest.approx(entropy(observed, target), abs=1e-12)
    assert found.cross_entropy == pytest.approx(entropy(target) + entropy(target, observed), abs=1e-12)


@given(pairs)
def test_js_divergence_is_symmetric_and_within_its_bounds(pair: tuple[list[float], list[float]]) -> None:
    there, back = compare(*pair).js_divergence, compare(*reversed(pair)).js_divergence
    assert there == pytest.approx(back, abs=1e-12)
    assert 0 <= there <= LN2


@given(pairs, st.floats(0.01, 1.0))
def test_js_divergence_is_zero_only_where_the_shares_are_equal(
    pair: tuple[list[float], list[float]], factor: float
) -> None:
    p, q = (np.array(values) / sum(values) for values in pair)
    assert compare(p, factor * p).js_divergence == pytest.approx(0, abs=1e-12)
    assume(np.abs(p - q).max() > 1e-4)
    assert compare(p, q).js_divergence > 1e-12


@given(pairs, st.randoms(use_true_random=False))
def test_order_of_the_answers_does_not_matter(pair: tuple[list[float], list[float]], random: Any) -> None:
    order = list(range(len(pair[0])))
    random.shuffle(order)
    shuffled = [[values[i] for i in order] for values in pair]
    assert compare(*shuffled) == pytest.approx(compare(*pair), abs=1e-9)


def test_nothing_observed_counts_as_all_mass_elsewhere() -> None:
    found = compare([0.2, 0.8], [0.0, 0.0])
    assert found.js_divergence == pytest.approx(LN2)
    assert (found.kl_divergence, found.reverse_kl, found.cross_entropy) == (math.inf, math.inf, math.inf)
    assert (found.mode_match, found.coverage) == (0.0, 0.0)
    published = compare_as_published([0.2, 0.8], [0.0, 0.0])
    assert published.coverage == 0 and all(map(math.isnan, published[:5]))


def test_tied_modes_count_by_share() -> None:
    assert compare([0.25, 0.25, 0.25, 0.25], [0.05, 0.05, 0.8, 0.05]).mode_match == 1.0
    assert compare([0.2, 0.5, 0.3], [0.1, 0.4, 0.4]).mode_match == 0.5
    assert compare([0.1 + 0.2, 0.3, 0.4 - 0.1], [0.1, 0.1, 0.5]).mode_match == 1.0


def test_a_near_tie_of_the_observed_is_a_tie_but_for_rounding_only() -> None:
    assert compare([0.5, 0.3, 0.2], [0.3, 0.1 + 0.2, 0.4 - 0.1]).mode_match == pytest.approx(1 / 3)
    assert compare([0.5, 0.3, 0.2], [0.3, 0.3001, 0.3]).mode_match == 0


def test_total_variation_is_half_of_all_differences() -> None:
    assert compare([0.5, 0.3, 0.2], [0.1, 0.3, 0.6]).total_variation == pytest.approx(0.4)
    assert compare([0.4, 0.4, 0.2], [0.1, 0.1, 0.8]).total_variation == pytest.approx(0.6)


def test_expected_loss_is_cross_entropy_and_lost_coverage() -> None:
    target, observed = np.array([0.3, 0.7]), np.array([0.2, 0.4])
    found = compare(target, observed)
    assert found.cross_entropy - math.log(found.coverage) == pytest.approx(-(target * np.log(observed)).sum())


@pytest.mark.parametrize(
    ("target", "observed"),
    [([0.5, 0.5], [1.0]), ([], []), ([-0.1, 1.1], [0.5, 0.5]), ([1.0], [math.nan]), ([0.0], [1.0])],
)
def test_what_is_no_distribution_is_refused(target: list[float], observed: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        compare(target, observed)


def test_the_uniform_guess_is_compared_like_a_model() -> None:
    guess = uniform_guess([0.9, 0.1])
    assert guess == compare([0.9, 0.1], [0.5, 0.5])
    assert guess.total_variation == pytest.approx(0.4) and guess.coverage == 1
    assert uniform_guess([0.25] * 4).js_divergence == 0


def test_published_summary_is_the_golden_one(section: dict[str, Any]) -> None:
    for name in ("js_divergence", "kl_divergence", "cross_entropy", "coverage"):
        values = [case["expected"][name] for case in section["cases"]]
        expected = section["summary"][name]
        assert summary_as_published(values) == pytest.approx(
            (expected["mean"], expected["std"], expected["se"])
        )


@given(st.lists(st.floats(-50, -0.01), min_size=2, max_size=6), st.data())
def test_log_probabilities_give_what_probabilities_give(logs: list[float], data: Any) -> None:
    shares_of = st.lists(st.floats(0, 1), min_size=len(logs), max_size=len(logs))
    target = data.draw(shares_of.filter(lambda found: sum(found) > 0.1))
    logs = [value - np.log(len(logs)) for value in logs]
    for published, chosen in ((False, compare), (True, compare_as_published)):
        found, expected = compare_logs(target, logs, published=published), chosen(target, np.exp(logs))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)
    shares = np.asarray(target) / np.sum(target)
    assert compare_logs(target, logs).log_loss == pytest.approx(-shares @ np.asarray(logs), rel=1e-9)


def test_nothing_observed_is_the_worst_proper_score() -> None:
    assert compare([0.5, 0.5], [0.0, 0.0]).log_loss == np.inf
    assert compare_logs([0.5, 0.5], [-np.inf, -np.inf]).log_loss == np.inf


@pytest.mark.parametrize(("target", "n"), [([0.5, 0.3, 0.2], 12), ([0.9, 0.1, 0.0], 5), ([3, 1, 1, 1], 40)])
def test_the_noise_floor_is_the_mean_divergence_of_drawn_shares(target: list[float], n: int) -> None:
    p = np.array(target) / np.sum(target)
    draws = np.random.default_rng(0).multinomial(n, p, size=4000) / n
    found = [jensenshannon(p, q) ** 2 for q in draws]
    assert noise_floor(target, n=n) == pytest.approx(np.mean(found), abs=4 * np.std(found) / 4000**0.5)


def test_the_noise_floor_falls_with_the_number_of_answers_and_is_0_for_a_single_one() -> None:
    floors = [noise_floor([0.4, 0.35, 0.25], n=n) for n in (1, 10, 100, 1999, 2001)]
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] == pytest.approx(floors[-2], rel=5e-3)
    assert noise_floor([0.0, 1.0], n=7) == 0


@pytest.mark.parametrize(("answers", "rare"), [(1000, 0), (100, 0), (101, 1e-4), (5000, 0)])
def test_the_noise_floor_of_rare_answers_is_exact_however_many_were_given(answers: int, rare: float) -> None:
    target = np.full(answers, rare or 1 / answers)
    target[0] += 1 - target.sum()
    drawn = np.random.default_rng(0).multinomial(2001, target, size=60) / 2001
    found = [compare(target, shares).js_divergence for shares in drawn]
    error = float(np.std(found)) / 60**0.5
    assert noise_floor(target, n=2001) == pytest.approx(np.mean(found), abs=4 * error)


@pytest.mark.parametrize("n", [3_999_000, 10**15])
def test_the_noise_floor_of_very_many_answers_is_its_limit(n: int) -> None:
    assert noise_floor([0.5, 0.5], n=n) == pytest.approx(1 / (8 * n), rel=1e-5, abs=0)


def test_the_ordinal_distance_counts_steps() -> None:
    assert ordinal_distance([1, 0, 0, 0], [0, 0, 0, 1]) == 1
    assert ordinal_distance([1, 0, 0, 0], [0, 1, 0, 0]) == pytest.approx(1 / 3)
    assert ordinal_distance([1], [2]) == 0 and ordinal_distance([1, 0], [0, 1]) == 1
    # Half of the mass moves two of four steps.
    assert ordinal_distance([2, 0, 2, 0, 0], [1, 0, 1, 0, 0]) == 0
    assert ordinal_distance([1, 0, 1, 0, 0], [1, 0, 0, 0, 1]) == pytest.approx(0.25)


@pytest.mark.parametrize("target", [[0.5, 0.5], [0.7, 0.2, 0.1, 0], [1], [3, 1, 1], [0.25, 0.5, 0.25]])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_expected_total_variation_is_the_mean_over_all_counts(target: list[float], n: int) -> None:
    p = np.array(target) / np.sum(target)
    mean = 0.0
    for draws in itertools.product(range(len(p)), repeat=n):
        shares = np.bincount(draws, minlength=len(p)) / n
        mean += np.prod(p[list(draws)]) * compare(p, shares).total_variation
    assert expected_total_variation(target, n=n) == pytest.approx(mean, abs=1e-12)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(1, 400))
def test_the_expected_total_variation_is_a_sum_over_binomial_counts(target: list[float], n: int) -> None:
    p, counts = np.array(target) / np.sum(target), np.arange(n + 1)[:, None]
    deviations = (scipy.stats.binom.pmf(counts, n, p) * np.abs(counts / n - p)).sum(axis=0)
    assert expected_total_variation(target, n=n) == pytest.approx(deviations.sum() / 2, abs=1e-9)
