"""The tiny world is exact, and what is evaluated stays out of training."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.catalogue import tasks
from spectrum_trl.tiny.world import words, worlds

TASKS = [task for task in tasks().values() if task.name.startswith("tiny_")]
CORPORA = ("tiny_records", "tiny_answers")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def world_makers(*, for_evaluation: bool) -> dict[str, object]:
    return {
        "counts": lambda r: worlds.counts(
            r, labels=words.LABELS, sentences=words.URN_SENTENCES, for_evaluation=for_evaluation
        ),
        "coin": lambda r: worlds.unknown_labels(r, labels=words.LABELS, sentences=words.COIN_SENTENCES, k=2),
        "die": lambda r: worlds.unknown_labels(r, labels=words.LABELS, sentences=words.DIE_SENTENCES, k=5),
        "range": lambda r: worlds.number_range(
            r, sentences=words.RANGE_SENTENCES, for_evaluation=for_evaluation, whole_tens=True
        ),
        "near": lambda r: worlds.near_number(r, sentences=words.NEAR_SENTENCES),
    }


@pytest.mark.parametrize("kind", world_makers(for_evaluation=True))
def test_a_predictive_is_a_distribution_and_forgets_order(kind: str) -> None:
    generator = rng(1)
    for _ in range(5):
        world = world_makers(for_evaluation=True)[kind](generator)
        seen = world.draw(generator, 12)
        first, second = world.predictive(seen), world.predictive(seen[::-1])
        assert first.support is not None and set(seen) <= set(first.support)
        assert sum(map(first.pmf, first.support)) == pytest.approx(1)
        assert [first.pmf(t) for t in first.support] == pytest.approx([second.pmf(t) for t in first.support])
        assert first.pmf("no such label") == 0


@pytest.mark.parametrize("kind", world_makers(for_evaluation=True))
def test_predictives_are_calibrated_on_draws(kind: str) -> None:
    generator, gaps = rng(2), []
    for _ in range(600):
        world = world_makers(for_evaluation=True)[kind](generator)
        *seen, following = world.draw(generator, 6)
        distribution = world.predictive(seen)
        likeliest = max(distribution.support, key=distribution.pmf)
        gaps.append((following == likeliest) - distribution.pmf(likeliest))
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(len(gaps))


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6))
def test_the_held_out_rule_forgets_order(parameters: list[int]) -> None:
    assert worlds.is_reserved(parameters) == worlds.is_reserved(parameters[::-1])


def test_about_a_fifth_is_held_out() -> None:
    pairs = [(low, high) for low in range(1, 60) for high in range(low + 4, 99)]
    assert 0.17 < np.mean([worlds.is_reserved(pair) for pair in pairs]) < 0.23


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_training_description_holds_held_out_counts_or_ranges(task) -> None:
    for sequence in islice(task.sequences(Path(), seed=3), 1500):
        text = sequence.messages[0]["content"].split(" Seen:")[0]
        numbers = [int(n) for n in re.findall(r"\d+", text)]
        if len(numbers) >= 2 and "0 to 99" not in text:
            assert not worlds.is_reserved(numbers), text


@pytest.mark.parametrize("task", [t for t in TASKS if t.name not in CORPORA], ids=lambda task: task.name)
def test_tuning_never_uses_a_held_out_wording(task) -> None:
    told = " ".join(s.messages[0]["content"] for s in islice(task.sequences(Path(), seed=3), 1500)).lower()
    for word in ("urn", "coin", " die ", "random whole number", "machine shows numbers"):
        assert word not in told


def test_the_tiny_answers_with_the_likeliest_nine_times_in_ten() -> None:
    base = tasks()["tiny_answers"]
    likeliest: Counter[bool] = Counter()
    for sequence in islice(base.sequences(Path(), seed=0), 3000):
        described = sequence.messages[0]["content"]
        found = re.findall(r"(\d) ([a-z]+)", described)
        if "Seen:" in described or " to " in described or len(found) < 2:
            continue
        top = max(found, key=lambda pair: int(pair[0]))[1]
        likeliest.update(message["content"] == top for message in sequence.messages[1:])
    share = likeliest[True] / likeliest.total()
    # The honest tenth hits the likeliest now and then as well.
    assert 0.9 <= share <= 0.97


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_seed_gives_the_same_sequences(task) -> None:
    def first(seed: int) -> list:
        return [s.messages for s in islice(task.sequences(Path(), seed=seed), 20)]

    assert first(5) == first(5) != first(6)
