import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.generators import generator
from spectrum_trl.suite.synthetic.cards import DECK, predictive, sample


def test_the_deck_has_52_cards_of_four_suits():
    assert len(set(DECK)) == 52
    assert {"10♦", "A♠", "2♣", "K♥"} <= set(DECK)
    assert "1♦" not in DECK


@given(st.permutations(DECK), st.integers(0, 51))
def test_undrawn_cards_are_equally_likely(order, n):
    law = predictive(order[:n])
    assert set(law.support) == set(order[n:])
    assert sum(map(law.pmf, DECK)) == pytest.approx(1)
    assert all(law.pmf(card) == 0 for card in order[:n])
    assert law.pmf(order[n]) == pytest.approx(1 / (52 - n))


def test_after_the_last_card_nothing_is_left():
    assert predictive(DECK).support == ()


def test_what_cannot_happen_is_refused():
    with pytest.raises(UserError, match="more than once.*A♠"):
        predictive(["A♠", "2♣", "A♠"])
    with pytest.raises(UserError, match="'1♦' cannot be drawn"):
        predictive(["1♦"])


def test_shuffles_hold_each_card_once_and_first_cards_are_uniform():
    rng = generator("cards", seed=3)
    shuffles = [sample(rng).outputs for _ in range(1000)]
    assert all(sorted(cards) == sorted(DECK) for cards in shuffles)
    hearts = np.mean([cards[0].endswith("♥") for cards in shuffles])
    assert abs(hearts - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 1000)
