"""Nothing that is evaluated is in a corpus or a tuning sequence; a planted leak is found."""

from typing import Any

import numpy as np
import pytest

from spectrum_trl.tiny.evaluation_items import evaluation_items
from spectrum_trl.tiny.world import words, worlds
from tests.tiny.leaks import RECIPES, contents, evaluated, leaks, reduced, shares_in, trained_texts

KNOWN = evaluated(evaluation_items(0), evaluation_items(1))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.slow
def test_no_corpus_holds_what_is_evaluated(recipe: str) -> None:
    texts = [text for _, text in trained_texts(recipe, most=4000)]
    assert len(texts) > 1000 and not leaks(texts, KNOWN)


def test_every_kind_of_planted_leak_is_found() -> None:
    urn = evaluation_items(0).urns[0].description
    coin = evaluation_items(0).coin.descriptions[0]
    span = evaluation_items(0).ranges[0].description
    assert leaks(["A clean line.", urn, coin, span], KNOWN) == {"wording": 3, "proportion": 1, "range": 1}
    counts = next(iter(sorted(KNOWN.proportions)))
    labels = ("red", "blue", "green", "white", "black")
    listed = [f"{2 * n} {label}" for n, label in zip(reversed(counts), labels, strict=False)]
    text = f"A box with {', '.join(listed[:-1])} and {listed[-1]} beads."
    assert leaks([text], KNOWN) == {"proportion": 1}
    ranked = ", ".join(f"{label} {n}" for n, label in zip(reversed(counts), labels, strict=False))
    assert leaks([f"By number: {ranked}."], KNOWN) == {"proportion": 1}
    low, high = next(iter(KNOWN.ranges))
    assert leaks([f"Pick a number from {low} to {high} at random."], KNOWN) == {"range": 1}


def test_proportions_do_not_depend_on_size_or_order() -> None:
    assert reduced([4, 2]) == reduced([1, 2]) == reduced([3, 6]) == (1, 2)


@pytest.mark.parametrize(
    "form",
    [
        "{} red and {} blue",
        "{} red balls and {} blue balls",
        "{} Red, {} blue beads",
        "{} red; {} blue",
        "{} red or {} blue",
        "{} small red marbles and {} small blue marbles",
        "By number: red {}, blue {}.",
        "red {}, blue {}",
        "Red: {}, blue: {}",
    ],
)
def test_counts_are_found_in_other_forms(form: str) -> None:
    held = next(counts for counts in KNOWN.proportions if len(counts) == 2)
    assert leaks([form.format(*held)], KNOWN) == leaks([form.format(*held[::-1])], KNOWN) == {"proportion": 1}


@pytest.mark.parametrize(
    "form",
    [
        "a number from {} to {}",
        "From {} up to {}",
        "Numbers {} to {}",
        "between {} and {}",
        "{}-{}",
        "from {1} down to {0}",
    ],
)
def test_ranges_are_found_in_other_forms(form: str) -> None:
    assert leaks([form.format(*next(iter(KNOWN.ranges)))], KNOWN) == {"range": 1}


def test_shares_of_one_kind_are_told_apart_from_lists_of_contents() -> None:
    text = "dog is 1 of 10. Of 60 items, 10 are marked. 0.25, 30%, 40 per cent, 0.123, 1 of 2"
    assert list(shares_in(text)) == [(1, 9), (1, 5), (1, 3), (3, 7), (2, 3)]
    assert not leaks([text], KNOWN)


def test_a_total_and_a_part_of_it_are_not_two_kinds() -> None:
    text = "Of 60 items, 10 are marked. Population 75, successes in it 32, drawn 40. 2 red and 4 blue balls."
    assert list(contents(text)) == [(1, 2)]


def test_every_evaluated_sentence_is_found_in_lower_case_too() -> None:
    for held in words.HELD.values():
        for sentence in (sentence for kind in held for sentence in kind):
            assert leaks([sentence.format("red", "blue").lower()], KNOWN) == {"wording": 1}


@pytest.mark.parametrize("part", ["evaluation", "choice"])
def test_what_is_kept_out_is_found_even_where_no_item_has_it(part: Any) -> None:
    rng = np.random.default_rng(9)
    held = worlds.contents(rng, labels=words.LABELS, part=part)
    listed = words.listed([f"{2 * n} {label}" for label, n in held.items()], last="and")
    nothing = KNOWN._replace(proportions=frozenset(), ranges=frozenset())
    assert leaks([f"A jar holds {listed} beads."], nothing) == {"proportion": 1}
    world = worlds.number_range(rng, sentences=("Or from {} to {}.",), whole_tens=True, part=part)
    assert leaks([world.description], nothing) == {"range": 1}
