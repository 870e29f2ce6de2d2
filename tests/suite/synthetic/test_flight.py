from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.synthetic.flight import (
    CHOICES,
    build,
    choices,
    predictive,
    read,
    weight_vectors,
    written,
)
from spectrum_trl.suite.task import Data
from tests.messages import naming

steps = st.integers(0, 99)
offers = st.lists(st.tuples(steps, steps, steps, st.integers(0, 2)), min_size=3, max_size=3)


def people(n):
    built = build(Data(Path("nowhere"), 5, Counter()))
    for _ in range(n):
        _, messages = next(built)
        contents = [message["content"] for message in messages]
        yield contents[0], contents[1::2], contents[2::2]


@given(offers)
def test_inputs_can_be_read_back(flights):
    assert read(written(flights)).tolist() == [list(flight) for flight in flights]


def test_the_shown_ranges_are_those_of_the_catalogue():
    text = written([(0, 0, 0, 0), (99, 99, 99, 2), (50, 50, 50, 1)])
    assert "departs 05:00, takes 0h45, costs $50, 0 stops" in text
    assert "departs 24:00, takes 16h00, costs $1500, 2 stops" in text
    assert text.endswith("1 stop")


@pytest.mark.parametrize("text", ["", "1. departs 05:00", "1. departs 05:01, takes 0h45, costs $50, 0 stops"])
def test_other_inputs_are_refused(text):
    with pytest.raises(UserError, match=naming(repr(text), "flight.written")):
        read(text)


def test_there_are_255_weight_vectors():
    weights = weight_vectors()
    assert weights.shape == (255, 4)
    assert len({tuple(w) for w in weights.tolist()}) == 255
    assert set(weights.ravel().tolist()) == {-2, -1, 0, 1}
    assert (weights != 0).any(axis=1).all()


@given(offers)
@settings(max_examples=50)
def test_choices_are_the_argmax_of_the_catalogued_features(flights):
    features = np.array([(d / 99, t / 99, p / 99, s / 2) for d, t, p, s in flights])
    sums = features @ (weight_vectors() / 2).T
    chosen = choices(np.array(flights), weights=weight_vectors())
    best = sums.max(axis=0)
    assert (sums[chosen, np.arange(255)] > best - 1e-9).all()


def test_the_first_flight_wins_ties():
    same = np.array([[10, 20, 30, 1]] * 3)
    assert (choices(same, weights=weight_vectors()) == 0).all()
    # The weights of price and stops cancel: 0.5 * 1 - 0.5 * 1 = 0, as for the other two.
    tied = np.array([[0, 0, 99, 2], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert choices(tied, weights=np.array([[0, 0, 1, -1]]))[0] == 0


def test_the_predictive_is_the_share_of_consistent_weights_and_never_excludes_the_truth():
    rng = np.random.default_rng(4)
    errors, losses = [], []
    for described, inputs, outputs in people(60):
        assert len(inputs) == len(outputs) == 20
        assert "weights" not in described
        n = int(rng.integers(0, 20))
        law = predictive(outputs[:n], inputs=inputs[: n + 1])
        assert sum(map(law.pmf, CHOICES)) == pytest.approx(1)
        assert law.pmf(outputs[n]) > 0
        event = rng.choice(CHOICES)
        errors.append(law.pmf(str(event)) - (outputs[n] == event))
        losses.append(-np.log(law.pmf(outputs[n])))
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))
    assert np.mean(losses) < 0.8 * np.log(3)


def test_the_loss_falls_with_the_choices_seen():
    losses = np.array(
        [
            [-np.log(predictive(outputs[:n], inputs=inputs[: n + 1]).pmf(outputs[n])) for n in (0, 4, 19)]
            for _, inputs, outputs in people(120)
        ]
    ).mean(axis=0)
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] < 0.3


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_choices_seen_does_not_matter(order):
    _, inputs, outputs = next(people(1))
    law = predictive(outputs[:6], inputs=inputs[:7])
    shuffled = predictive([outputs[i] for i in order], inputs=[*(inputs[i] for i in order), inputs[6]])
    assert [shuffled.pmf(choice) for choice in CHOICES] == [law.pmf(choice) for choice in CHOICES]


def test_mistakes_are_named():
    _, inputs, outputs = next(people(1))
    with pytest.raises(UserError, match=naming("1 input", "1 choice")):
        predictive(outputs[:1], inputs=inputs[:1])
    with pytest.raises(UserError, match="'4' cannot be drawn"):
        predictive(["4"], inputs=inputs[:2])
    same = written([(1, 1, 1, 0)] * 3)
    with pytest.raises(UserError, match="no weights"):
        predictive(["3"], inputs=[same, same])


def test_weights_and_features_are_uniform():
    stops, departures = Counter(), []
    for _, inputs, _ in people(100):
        flights = np.concatenate([read(given) for given in inputs])
        stops.update(flights[:, 3].tolist())
        departures += flights[:, 0].tolist()
    assert set(stops) == {0, 1, 2}
    n = stops.total()
    assert all(abs(count / n - 1 / 3) < 4 * np.sqrt(2 / 9 / n) for count in stops.values())
    assert (min(departures), max(departures)) == (0, 99)
    assert abs(np.mean(departures) - 49.5) < 4 * np.std(departures) / np.sqrt(n)
