from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.generators import generator
from spectrum_trl.suite.synthetic.multinomial import Counts, predictive, read, sample
from tests.messages import naming


def compositions(total, k):
    return [c for c in product(range(total + 1), repeat=k) if sum(c) == total]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=9).map(tuple), st.sampled_from(("mapping", "list")))
def test_counts_survive_writing_and_reading(numbers, layout):
    counts = Counts(numbers, layout)
    assert read(counts.text()) == counts


@given(
    st.text()
    | st.sampled_from(["[1,2]", "[1, -2]", "[1, true]", '{"1": 2}', "[]", "{}", "3", "[1.0]", "[NaN]"])
)
def test_other_texts_are_no_counts(text):
    counts = read(text)
    assert counts is None or counts.text() == text


@given(
    st.integers(1, 4), st.integers(2, 3), st.integers(0, 3), st.sampled_from(("mapping", "list")), st.data()
)
@settings(max_examples=30, deadline=None)
def test_the_predictive_sums_to_one_and_is_polya_s_urn(total, k, n, layout, data):
    possible = compositions(total, k)
    seen = [data.draw(st.sampled_from(possible)) for _ in range(n)]
    law = predictive([Counts(c, layout).text() for c in seen], total=total, k=k, layout=layout)
    urn = {c: 0.0 for c in possible}
    for picks in product(range(k), repeat=total):
        weights, p = 1 + np.sum([*seen, [0] * k], axis=0, dtype=float), 1.0
        for pick in picks:
            p *= weights[pick] / weights.sum()
            weights[pick] += 1
        urn[tuple(np.bincount(picks, minlength=k).tolist())] += p
    assert sum(urn.values()) == pytest.approx(1)
    for c, p in urn.items():
        assert law.pmf(Counts(c, layout).text()) == pytest.approx(p)
        assert law.pmf(Counts(c, "list" if layout == "mapping" else "mapping").text()) == 0


def test_told_probabilities_give_the_multinomial_even_with_zeros():
    law = predictive([], total=3, k=3, probabilities=[0.5, 0.5, 0.0], layout="list")
    assert law.pmf("[1, 2, 0]") == pytest.approx(3 / 8)
    assert law.pmf("[1, 1, 1]") == 0
    assert sum(law.pmf(Counts(c, "list").text()) for c in compositions(3, 3)) == pytest.approx(1)


def test_an_unknown_layout_is_either_one_until_an_output_shows_it():
    law = predictive([], total=2, k=2)
    assert law.pmf("[1, 1]") == law.pmf('{"0": 1, "1": 1}') == pytest.approx(1 / 6)
    assert predictive(["[2, 0]"]).pmf('{"0": 1, "1": 1}') == 0
    assert predictive(["[2, 0]"]).pmf("[1, 1]") == pytest.approx(2 * 3 / (4 * 5) * 1)


def test_what_disagrees_is_refused_all_at_once():
    with pytest.raises(UserError, match=naming("total", "k")):
        predictive([])
    with pytest.raises(UserError) as error:
        predictive(["[1, 1]", "[1, 2]", "x", '{"0": 1, "1": 1}', "[2, 0]"])
    assert [problem.split()[1] for problem in error.value.problems] == ["2", "3", "4"]


def test_samples_have_the_told_total_and_k_and_both_layouts():
    rng = generator("multinomial", seed=7)
    layouts = []
    for _ in range(60):
        draw = sample(rng)
        counts = [read(text) for text in draw.outputs]
        assert len({(sum(c.numbers), len(c.numbers), c.layout) for c in counts}) == 1
        layouts.append(counts[0].layout)
        told = draw.predictive.keywords
        if told:
            assert (told["total"], told["k"]) == (sum(counts[0].numbers), len(counts[0].numbers))
            assert f"{told['total']}" in draw.description
            assert told["layout"] in draw.description
    assert 10 < layouts.count("list") < 50


def test_probabilities_match_frequencies():
    """Event: the category that was largest stays so; its probability by enumeration."""
    rng = np.random.default_rng(10)
    errors = []
    for _ in range(400):
        p = rng.dirichlet(np.ones(3))
        first, second = (tuple(c) for c in rng.multinomial(3, p, size=2).tolist())
        law = predictive([Counts(first, "list").text()])
        event = [c for c in compositions(3, 3) if np.argmax(c) == np.argmax(first)]
        predicted = sum(law.pmf(Counts(c, "list").text()) for c in event)
        errors.append(predicted - (second in event))
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))
