"""The evaluation's worlds are of the held-out kind, reproducible, and their optimal losses right."""

import math
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectrum_trl.tiny.evaluation_items import (
    OUTPUTS,
    PROMPTS,
    SEQUENCES,
    URNS,
    evaluation_items,
    probabilities,
)
from spectrum_trl.tiny.world import tuning, words, worlds


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


@pytest.mark.parametrize("part", ["evaluation", "choice"])
def test_urns_have_held_out_counts_which_give_their_probabilities(part: Any) -> None:
    urns = evaluation_items(0, part=part).urns
    assert len(urns) == URNS
    for world in urns:
        pieces = numbers(world.description)
        assert worlds.part_of(worlds.proportions(pieces)) == part
        assert list(probabilities(world).values()) == [n / sum(pieces) for n in pieces]


def test_prompts_are_full_urns_and_ranges_no_two_alike() -> None:
    items = evaluation_items(0)
    for worlds_ in (items.full_urns, items.ranges):
        assert len({world.description for world in worlds_}) == len(worlds_) == PROMPTS >= 30
    assert min(len(probabilities(world)) for world in items.full_urns) >= 5
    for world in items.ranges:
        low, high = numbers(world.description)
        assert worlds.part_of((low, high)) == "evaluation" and len(probabilities(world)) == high - low + 1


def test_settings_are_chosen_on_other_items() -> None:
    measured, chosen = evaluation_items(0), evaluation_items(0, part="choice")
    for kind in ("urns", "full_urns", "ranges"):
        texts = [{world.description for world in getattr(items, kind)} for items in (measured, chosen)]
        assert texts[1] and not texts[0] & texts[1]
    for kind in ("coin", "die", "number"):
        assert not {*getattr(measured, kind).descriptions} & {*getattr(chosen, kind).descriptions}
        # Nor the same draws of the same labels in other words.
        same = zip(getattr(measured, kind).outputs, getattr(chosen, kind).outputs, strict=True)
        assert sum(one == other for one, other in same) < 4, "a few are one label throughout"


def test_no_description_is_one_that_tuning_trains_on() -> None:
    items = evaluation_items(0)
    measured = {world.description for world in (*items.urns, *items.full_urns, *items.ranges)}
    measured |= {text for part in (items.coin, items.die, items.number) for text in part.descriptions}
    trained = {
        sequence.messages[0]["content"]
        for task in tuning.TASKS
        for sequence in islice(task.sequences(Path(), seed=0), 500)
    }
    assert not measured & trained


def test_optimal_losses_are_those_of_counting() -> None:
    items = evaluation_items(0)
    assert (
        items.coin.optimal.shape
        == items.die.optimal.shape
        == items.number.optimal.shape
        == (SEQUENCES, OUTPUTS)
    )
    for k, outputs, optimal in zip([2] * SEQUENCES, items.coin.outputs, items.coin.optimal, strict=True):
        counted = [math.log((k + n) / (1 + outputs[:n].count(text))) for n, text in enumerate(outputs)]
        np.testing.assert_allclose(optimal, counted)
    known = items.die.optimal[:, 0]
    assert set(np.exp(known).round(9)) <= {3.0, 4.0, 5.0, 6.0}
    assert items.number.optimal[:, 0].mean() > items.number.optimal[:, 8:].mean() + 0.5


def test_the_seed_decides_what_is_measured() -> None:
    first, second = evaluation_items(0), evaluation_items.__wrapped__(0)
    assert [world.description for world in first.urns] == [world.description for world in second.urns]
    assert first.number.outputs == second.number.outputs
    assert first.coin.descriptions != evaluation_items(1).coin.descriptions


def test_sentences_of_the_evaluation_are_not_among_those_of_tuning() -> None:
    tuned = {*words.COUNT_SENTENCES, *words.LABEL_SENTENCES, *words.RANGE_SENTENCES, *words.NEAR_SENTENCES}
    assert not tuned & {sentence for held in words.HELD.values() for kind in held for sentence in kind}
