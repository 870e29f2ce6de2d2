"""The corpora say what is true, and have the lengths that the recipes rely on."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from spectrum_trl.known_tasks import tasks


def first(name: str, n: int = 600) -> list[list[str]]:
    found = islice(tasks()[name].sequences(Path(), seed=0), n)
    return [[message["content"] for message in sequence.messages] for sequence in found]


def test_statements_about_counts_are_true() -> None:
    told = Counter[str]()
    for described, statements in first("tiny_facts"):
        held = {label: int(n) for n, label in re.findall(r"([1-9]) ([a-z]+)", described)}
        total = sum(held.values())
        for label, n in re.findall(r"How many ([a-z]+)\? ([0-9]+)\.", statements):
            told["how many"] += 1
            assert held[label] == int(n)
        for label, n, whole in re.findall(r"([a-z]+) is ([0-9]+) of ([0-9]+)\.", statements):
            told["of"] += 1
            assert (held[label], total) == (int(n), int(whole))
        for ranked in re.findall(r"By number: ([^.]+)\.", statements):
            told["ranked"] += 1
            listed = [part.split() for part in ranked.split(", ")]
            assert {label: int(n) for label, n in listed} == held
            assert sorted((int(n) for _, n in listed), reverse=True) == [int(n) for _, n in listed]
        for pieces in re.findall(r"(?:All of them|Mixed): ([^.]+)\.", statements):
            told["pieces"] += 1
            assert Counter(pieces.split()) == Counter(held)
        for label, others in re.findall(r"Not ([a-z]+): ([^.]+)\.", statements):
            told["not"] += 1
            assert set(re.findall("[a-z]+", others)) - {"or"} == set(held) - {label}
    assert len(told) == 5 and min(told.values()) > 50


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("tiny_counts", 2, 5), ("tiny_range", 2, 5), ("tiny_labels", 10, 25), ("tiny_near", 10, 25)],
)
def test_what_is_described_has_few_outputs_and_the_rest_many(name: str, least: int, most: int) -> None:
    lengths = [len(texts) - 1 for texts in first(name)]
    assert (min(lengths), max(lengths)) == (least, most)


def test_lines_hold_a_draw_each_and_mostly_tell_what_is_drawn_from() -> None:
    described = []
    for before, rest in first("tiny_lines"):
        assert before.endswith("\n") and all(" " not in line for line in rest.splitlines())
        described.append(bool(re.search(r"[1-9] [a-z]+,? |from [1-9][0-9] to ", before)))
    assert 0.85 < np.mean(described) < 0.95
