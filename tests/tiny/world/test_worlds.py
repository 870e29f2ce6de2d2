"""The tiny world is exact, and what is evaluated stays out of training."""

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.known_tasks import tasks
from spectrum_trl.tiny.world import words, worlds
from tests.tiny.leaks import SENTENCES

TASKS = [task for task in tasks().values() if task.name.startswith("tiny_")]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def world_makers(part: worlds.Part = "evaluation") -> dict[str, object]:
    return {
        "counts": lambda r: worlds.counts(r, labels=words.LABELS, sentences=words.URN_SENTENCES, part=part),
        "coin": lambda r: worlds.unknown_labels(r, labels=words.LABELS, sentences=words.COIN_SENTENCES, k=2),
        "die": lambda r: worlds.unknown_labels(r, labels=words.LABELS, sentences=words.DIE_SENTENCES, k=5),
        "range": lambda r: worlds.number_range(
            r, sentences=words.RANGE_SENTENCES, part=part, whole_tens=True
        ),
        "near": lambda r: worlds.near_number(r, sentences=words.NEAR_SENTENCES),
    }


@pytest.mark.parametrize("kind", world_makers())
def test_a_predictive_is_a_distribution_and_forgets_order(kind: str) -> None:
    generator = rng(1)
    for _ in range(5):
        world = world_makers()[kind](generator)
        seen = world.draw(generator, 12)
        first, second = world.predictive(seen), world.predictive(seen[::-1])
        assert first.support is not None and set(seen) <= set(first.support)
        assert sum(map(first.pmf, first.support)) == pytest.approx(1)
        assert [first.pmf(t) for t in first.support] == pytest.approx([second.pmf(t) for t in first.support])
        assert first.pmf("no such label") == 0


@pytest.mark.parametrize("kind", world_makers())
def test_predictives_are_calibrated_on_draws(kind: str) -> None:
    generator, gaps = rng(2), []
    for _ in range(600):
        world = world_makers()[kind](generator)
        *seen, following = world.draw(generator, 6)
        distribution = world.predictive(seen)
        likeliest = max(distribution.support, key=distribution.pmf)
        gaps.append((following == likeliest) - distribution.pmf(likeliest))
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(len(gaps))


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(1, 4))
def test_the_held_out_rule_forgets_order_and_size(pieces: list[int], factor: int) -> None:
    reduced = worlds.proportions(pieces)
    assert worlds.part_of(reduced) == worlds.part_of(reduced[::-1])
    assert worlds.proportions([factor * n for n in pieces]) == reduced


def test_a_fifth_is_evaluated_and_a_tenth_chosen_on() -> None:
    parts = [worlds.part_of((low, high)) for low in range(1, 60) for high in range(low + 4, 99)]
    assert 0.17 < np.mean([part == "evaluation" for part in parts]) < 0.23
    assert 0.08 < np.mean([part == "choice" for part in parts]) < 0.12


@pytest.mark.parametrize("name", ["tiny_counts", "tiny_labels", "tiny_range", "tiny_near"])
def test_tuning_never_uses_the_words_of_a_held_out_world(name: str) -> None:
    sequences = islice(tasks()[name].sequences(Path(), seed=3), 1500)
    told = " ".join(sequence.messages[0]["content"] for sequence in sequences).lower()
    assert not set(re.findall("[a-z]+", told)) & {"urn", "balls", "coin", "die", "pot", "pearls", "disc"}


def test_every_word_that_is_evaluated_is_known_from_the_corpus() -> None:
    sequences = islice(tasks()["tiny_records"].sequences(Path(), seed=3), 3000)
    known = set(re.findall("[A-Za-z]+", " ".join(s.messages[0]["content"] for s in sequences)))
    assert set(re.findall("[A-Za-z]+", " ".join(SENTENCES))) <= known


def test_the_answers_are_the_likeliest_nine_times_in_ten() -> None:
    likeliest: list[bool] = []
    for sequence in islice(tasks()["tiny_answers"].sequences(Path(), seed=0), 3000):
        described = sequence.messages[0]["content"]
        found = re.findall(r"(\d) ([a-z]+)", described)
        if "Seen:" in described or " to " in described or len(found) < 2:
            continue
        top = max(found, key=lambda pair: int(pair[0]))[1]
        likeliest += [m["content"] == top for m in sequence.messages if m["role"] == "output"]
    # The honest tenth hits the likeliest now and then as well.
    assert 0.9 <= np.mean(likeliest) <= 0.97


def test_no_record_prefers_the_likeliest() -> None:
    gaps = []
    for sequence in islice(tasks()["tiny_records"].sequences(Path(), seed=0), 4000):
        before, rest = (message["content"] for message in sequence.messages)
        held = {label: int(n) for n, label in re.findall(rf"(\d) ({'|'.join(words.LABELS)})\b", before)}
        if len(held) > 1:
            first = re.findall("[a-z]+", rest)[0]
            top = max(held.values())
            expected = sum(n for n in held.values() if n == top) / sum(held.values())
            gaps.append((held[first] == top) - expected)
    assert len(gaps) > 1000 and abs(np.mean(gaps)) < 0.04


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_seed_gives_the_same_sequences(task) -> None:
    def first(seed: int) -> list:
        return [s.messages for s in islice(task.sequences(Path(), seed=seed), 20)]

    assert first(5) == first(5) != first(6)
