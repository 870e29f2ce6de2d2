"""Calibration error: the published definition gives the golden values, the default that of known models."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from spectrum_trl.metrics.calibration import (
    calibration_curve,
    calibration_error,
    calibration_error_as_published,
    calibration_error_by_chance,
)


def test_published_definition_gives_the_golden_values(golden: Path) -> None:
    cases = json.loads((golden / "metrics.json").read_text("utf-8"))["icl"]["ece"]
    for case in cases:
        found = calibration_error_as_published(case["correct_logprobs"], case["incorrect_logprobs"])
        assert found == pytest.approx(case["expected"]["ece"], abs=1e-6), case["kind"]


def test_pooled_tokens_of_the_golden_sequences_give_the_golden_error(golden: Path) -> None:
    scenarios = json.loads((golden / "metrics.json").read_text("utf-8"))["icl"]["scenarios"]
    for scenario in scenarios:
        outputs = scenario["expected"]["per_output"]
        last = max(output["example_ind"] for output in outputs) - 1
        chosen = {
            "calibration/ece": lambda number: True,
            "calibration/geq1.ece": lambda number: number >= 1,
            "calibration/k.ece": lambda number, last=last: number == last,
        }
        for name, keep in chosen.items():
            if name not in scenario["expected"]["logged"]:
                continue
            kept = [output for output in outputs if keep(output["example_ind"])]
            found = calibration_error_as_published(
                [p for output in kept for p in output["correct_logprobs"]],
                [p for output in kept for p in output["incorrect_logprobs_above_0_01"]],
            )
            assert found == pytest.approx(scenario["expected"]["logged"][name], abs=1e-3), name


def drawn(rng: np.random.Generator, temperature: float) -> tuple[list[float], list[float]]:
    """Draw tokens from known distributions, and report them sharpened by a temperature."""
    correct: list[float] = []
    rivals: list[float] = []
    for _ in range(4000):
        true = rng.dirichlet(np.ones(4))
        told = true ** (1 / temperature) / (true ** (1 / temperature)).sum()
        token = rng.choice(4, p=true)
        others = np.delete(told, token)
        correct.append(float(np.log(told[token])))
        rivals += np.log(others[others >= 0.01]).tolist()
    return correct, rivals


def test_a_calibrated_model_has_almost_no_error_and_an_overconfident_one_has() -> None:
    calibrated, sharpened = (calibration_error(*drawn(np.random.default_rng(0), t)) for t in (1.0, 0.4))
    assert calibrated < 0.02 < 0.08 < sharpened


def test_without_tokens_there_is_no_error_to_tell() -> None:
    assert np.isnan(calibration_error([], []))


def test_bins_weigh_by_their_tokens_and_unlikely_tokens_that_came_do_not_count() -> None:
    # Eleven tokens in ten bins: the two least likely share one, 0.5 sure and never right.
    rivals = [math.log(0.5)] * 2
    correct = [math.log(p) for p in (0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)]
    gaps = [2 * 0.5, *(1 - math.exp(log) for log in correct)]
    assert calibration_error(correct, rivals) == pytest.approx(sum(gaps) / 11)
    assert calibration_error([*correct, math.log(0.001)], rivals) == pytest.approx(sum(gaps) / 11)


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_the_error_by_chance_is_the_mean_of_what_exact_probabilities_give(n: int) -> None:
    rng = np.random.default_rng(0)
    places = rng.dirichlet([0.3] * 5, size=n)
    told, found = [], []
    for _ in range(60):
        came = (rng.random((n, 1)) < places.cumsum(axis=1)).argmax(axis=1)
        correct = np.log(places[np.arange(n), came])
        rivals = [np.log(p[(p >= 0.01) & (np.arange(5) != own)]) for p, own in zip(places, came, strict=True)]
        found.append(calibration_error(correct, np.concatenate(rivals)))
        told.append(calibration_error_by_chance(correct, rivals))
    # What came changes nothing but which rounding a probability has.
    assert max(told) == pytest.approx(min(told))
    assert np.mean(found) == pytest.approx(told[0], rel=0.06)


def test_an_overconfident_model_is_above_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    for temperature, ratio in ((1.0, 1.5), (0.4, 5.0)):
        correct, rivals, n = *drawn(rng, temperature), 4000
        nested = np.split(np.array(rivals), np.sort(rng.integers(0, len(rivals), n - 1)))
        by_chance = calibration_error_by_chance(correct, nested)
        assert (calibration_error(correct, rivals) > ratio * by_chance) == (temperature < 1)


def test_without_tokens_there_is_no_error_by_chance() -> None:
    assert np.isnan(calibration_error_by_chance([], [])) and np.isnan(
        calibration_error_by_chance([-9.0], [[]])
    )


def test_the_curve_is_what_the_error_averages() -> None:
    rng = np.random.default_rng(3)
    correct, rivals = np.log(rng.uniform(0.001, 1, 400)), np.log(rng.uniform(0.01, 1, 900))
    curve = calibration_curve(correct, rivals)
    gaps = [abs(one.probability - one.frequency) * one.n for one in curve]
    assert sum(gaps) / sum(one.n for one in curve) == pytest.approx(calibration_error(correct, rivals))
    assert [one.probability for one in curve] == sorted(one.probability for one in curve)
    assert calibration_curve([], []) == []
