import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gammaln

from spectrum_trl.metrics.icl import (
    automatic_k,
    label_baselines,
    marginal_baselines,
    share_right,
    unigram_losses,
)
from spectrum_trl.scoring.forward import pick
from tests.oracles import OutputScores, mean_by_number, number_outputs, per_output


@pytest.fixture(scope="module")
def section(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "metrics.json").read_text("utf-8"))["icl"]


def scored(instance: dict[str, Any], *, allowed: list[int] | None) -> OutputScores:
    """Score an instance's logits as an evaluation does, other tokens than ``allowed`` all but impossible."""
    logits, labels = torch.tensor(instance["logits"]), np.array(instance["labels"])
    if allowed is not None:
        outside = torch.ones(logits.shape[-1], dtype=torch.bool)
        outside[allowed] = False
        logits[..., outside] -= 100
    # Position t predicts token t + 1.
    places = np.flatnonzero(labels[1:] != -100)
    found = pick(logits, places.tolist(), labels[places + 1].tolist())
    numbers = np.array(instance["example_inds"])[places + 1]
    return per_output(found.log_probabilities, found.correct, numbers)


def kept(scores: OutputScores, limit: int | None) -> NDArray[np.bool_]:
    return scores.number <= (limit if limit is not None else scores.number.max(initial=0))


def test_outputs_give_the_golden_losses_and_accuracies(section: dict[str, Any]) -> None:
    for scenario in section["scenarios"]:
        options, found = scenario["options"], []
        for number, instance in enumerate(scenario["instances"]):
            if all(label == -100 for label in instance["labels"]):
                continue
            scores = scored(instance, allowed=options.get("restrict_logprobs"))
            rows = zip(
                *(field[kept(scores, options.get("fixed_example_number"))] for field in scores), strict=True
            )
            found += [(number, *row) for row in rows]
        names = ("instance", "example_ind", "n_tokens", "loss", "first_acc", "acc", "all_acc")
        expected = [tuple(row[name] for name in names) for row in scenario["expected"]["per_output"]]
        assert len(found) == len(expected) > 0
        np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-4, atol=1e-5)


def test_means_by_example_number_are_the_golden_ones(section: dict[str, Any]) -> None:
    for scenario in section["scenarios"]:
        rows = scenario["expected"]["per_output"]
        for name in ("loss", "first_acc", "acc", "all_acc", "n_tokens"):
            means = mean_by_number([row["example_ind"] for row in rows], [row[name] for row in rows])
            expected = scenario["expected"]["per_example_ind"]
            assert means.number.tolist() == [row["example_ind"] for row in expected]
            assert means.n.tolist() == [row["n_instances"] for row in expected]
            np.testing.assert_allclose(means.mean, [row[name] for row in expected], rtol=1e-4)


def test_outputs_are_numbered_as_in_the_golden_cases(section: dict[str, Any]) -> None:
    for case in section["example_numbering"]:
        assert number_outputs(np.array(case["labels"]) != -100).tolist() == case["expected"]


@given(st.lists(st.booleans(), min_size=1))
def test_every_unbroken_run_is_one_output(mask: list[bool]) -> None:
    numbers = number_outputs(mask)
    assert ((numbers >= 0) == np.array(mask)).all()
    starts = sum(now and not before for before, now in zip([False, *mask], mask, strict=False))
    assert set(numbers.tolist()) - {-1} == set(range(starts))
    assert (np.diff(numbers[numbers >= 0]) >= 0).all()


def last_whole(instance: dict[str, Any]) -> int:
    """Return the number of the last output that is not cut off; what is cut off ends with a label."""
    return max(instance["example_inds"]) - (instance["labels"][-1] != -100)


def test_the_number_of_examples_is_the_golden_one(section: dict[str, Any]) -> None:
    for case in section["auto_k"]:
        numbers = [last_whole(instance) for instance in case["instances"]]
        found, expected = automatic_k(numbers), case["expected"]
        if "error" in expected:
            assert found is None
            continue
        assert found is not None and found.k == expected["k"]
        # The published choice keeps sequences that do not reach a k that was raised from 1 to 2.
        reaches = [n for n in expected["keep_original_index"] if numbers[n] >= found.k]
        assert found.kept.tolist() == reaches
        assert ("quirk" in case) == (reaches != expected["keep_original_index"])


@given(st.lists(st.integers(-1, 40), max_size=30))
def test_no_other_number_of_examples_leaves_more_outputs(numbers: list[int]) -> None:
    found = automatic_k(numbers)
    best = max((k * sum(n >= k for n in numbers) for k in range(1, 41)), default=0)
    if found is not None and found.k > 2:
        assert found.k * len(found.kept) == best
        assert all(numbers[n] >= found.k for n in found.kept)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_labels_that_a_model_cannot_tell_apart_share_the_credit(n: int) -> None:
    rounded = np.full(n, -np.log(n)) + 1e-7 * np.arange(n)
    assert [share_right(rounded, right=k) for k in range(n)] == [pytest.approx(1 / n)] * n


@given(st.lists(st.sampled_from([-1.0, -2.0, -3.0]), min_size=1, max_size=8), st.randoms())
def test_credit_depends_on_no_order_and_sums_to_one(logs: list[float], random: Any) -> None:
    shares = [share_right(logs, right=k) for k in range(len(logs))]
    assert sum(shares) == pytest.approx(1)
    order = random.sample(range(len(logs)), len(logs))
    mixed = [logs[k] for k in order]
    assert [share_right(mixed, right=place) for place in range(len(logs))] == [shares[k] for k in order]


def test_label_baselines_are_those_of_counting_by_hand() -> None:
    found = label_baselines(["a", "a", "b", "a", "c"], n_labels=3)
    assert found.uniform_loss == pytest.approx([math.log(3)] * 5)
    assert np.exp(-found.counting_loss) == pytest.approx([1 / 3, 2 / 4, 1 / 5, 3 / 6, 1 / 7])
    assert found.majority_accuracy == pytest.approx([1 / 3, 1, 0, 1, 0])
    # Of two labels that came equally often, one is taken at random.
    assert label_baselines(["a", "b", "a"], n_labels=2).majority_accuracy[2] == 0.5
    with pytest.raises(ValueError, match="3 different outputs"):
        label_baselines(["a", "b", "c"], n_labels=2)


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.integers(4, 9))
def test_counting_is_a_distribution_and_the_mean_of_all_multinomials(outputs: list[str], k: int) -> None:
    # By Laplace's rule the sequence has the probability that a uniformly drawn multinomial gives it.
    counts = np.array([outputs.count(label) for label in set(outputs)])
    expected = gammaln(k) + gammaln(counts + 1).sum() - gammaln(len(outputs) + k)
    assert -label_baselines(outputs, n_labels=k).counting_loss.sum() == pytest.approx(expected)


def test_marginal_baselines_are_those_of_the_others_counted_by_hand() -> None:
    found = marginal_baselines(["a", "a", "b"], others={"a": 1, "c": 5}, n_labels=3)
    # One is added to each label: 2 and 1 and 6 of 9.
    assert np.exp(-found.marginal_loss) == pytest.approx([2 / 9, 2 / 9, 1 / 9])
    # Three are added to the earlier outputs, by these shares.
    assert np.exp(-found.marginal_counting_loss) == pytest.approx([2 / 9, (1 + 2 / 3) / 4, (0 + 1 / 3) / 5])
    with pytest.raises(ValueError, match="3 different labels"):
        marginal_baselines(["a", "b"], others={"c": 1}, n_labels=2)


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.integers(4, 9))
def test_counting_from_the_marginal_of_nobody_is_counting(outputs: list[str], k: int) -> None:
    found, plain = marginal_baselines(outputs, others={}, n_labels=k), label_baselines(outputs, n_labels=k)
    assert found.marginal_loss == pytest.approx(plain.uniform_loss)
    assert found.marginal_counting_loss == pytest.approx(plain.counting_loss)


def test_unigram_losses_are_those_of_counting_tokens_by_hand() -> None:
    found = unigram_losses([[5, 9], [5, 9], [7, 9], []], vocabulary=4)
    # Nothing was seen; of two tokens two are different; of four, two.
    by_hand = [1 / 4 * 1 / 4, (1 + 2 / 4) / 4 * (1 + 2 / 4) / 4, (0 + 2 / 4) / 6 * (2 + 2 / 4) / 6, 1]
    assert np.exp(-found) == pytest.approx(by_hand)
    assert unigram_losses([], vocabulary=4).shape == (0,)


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6))
def test_probabilities_of_the_next_token_of_a_unigram_sum_to_one(outputs: list[list[int]]) -> None:
    total = sum(np.exp(-unigram_losses([*outputs, [token]], vocabulary=6)[-1]) for token in range(6))
    assert total == pytest.approx(1)
