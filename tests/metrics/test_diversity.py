import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.metrics.diversity import expected_yield, summarise

GOLDEN_NAMES = {
    "share_valid": "percent_valid",
    "share_unique": "unique_gens_pct",
    "yield_count": "unique_valid_count",
    "yield_share": "usable_unique_pct",
    "unique_of_all": "raw_unique_pct",
    "collision": "pairwise_collision",
    "coverage": "coverage_pct",
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
    assert found.coverage is None


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
    assert found.coverage == 0 and found.collision == 0


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
