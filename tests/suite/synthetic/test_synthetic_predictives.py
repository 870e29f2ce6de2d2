"""What every exact predictive must satisfy, by simulation from the task's own prior."""

from collections.abc import Callable
from functools import cache, partial
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrum_trl.known_tasks import tasks
from spectrum_trl.suite.sequences.generators import Draw, Draws, generator

SAMPLES: dict[str, Callable[[np.random.Generator], Draw]] = {
    name: task.build.sample for name, task in tasks().items() if isinstance(task.build, Draws)
}
# Without them nothing here would be tested.
assert len(SAMPLES) > 10
# Their outputs hardly ever repeat; their own files check them.
CONTINUOUS = {"normal", "multinomial"}
# They need the description.
TOLD_ONLY = {"normal", "hypergeometric"}
SIMULATIONS = 300


@cache
def draws(name):
    rng = generator(name, seed=11)
    usable = (draw for draw in iter(lambda: SAMPLES[name](rng), None) if draw.predictive)
    return list(islice(usable, SIMULATIONS))


def arguments(draw):
    return draw.predictive.keywords if isinstance(draw.predictive, partial) else {}


def neighbourhood(last, law):
    """Texts whose joint probability is checked: numbers near the last one, or half of the support."""
    if last.isdigit():
        width = min(5, int(last) // 10)
        return {str(number) for number in range(int(last) - width, int(last) + width + 1)}
    return set(law.support[: len(law.support) // 2])


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - CONTINUOUS))
def test_probabilities_match_frequencies(name):
    rng = np.random.default_rng(5)
    errors = []
    for draw in draws(name):
        n = int(rng.integers(1, 7))
        if len(draw.outputs) <= n:
            continue
        law = draw.predictive(draw.outputs[:n])
        event = neighbourhood(draw.outputs[n - 1], law)
        errors.append(sum(map(law.pmf, event)) - (draw.outputs[n] in event))
    assert len(errors) > SIMULATIONS / 2
    assert np.std(errors) > 0
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - CONTINUOUS - TOLD_ONLY - {"cards"}))
def test_the_first_output_has_the_prior_that_the_predictive_assumes(name):
    rng = generator(name, seed=12)
    sampled = [SAMPLES[name](rng) for _ in range(1200)]
    law = getattr(sampled[0].predictive, "func", sampled[0].predictive)([])
    for event in ({"0", "Heads"}, set(map(str, range(3))), set(map(str, range(60)))):
        p = sum(map(law.pmf, event))
        if 0 < p < 1 - 1e-9:
            share = np.mean([draw.outputs[0] in event for draw in sampled])
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / len(sampled))


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_samples_have_positive_probability(name):
    for draw in draws(name)[:40]:
        for n in range(1, min(4, len(draw.outputs))):
            law = draw.predictive(draw.outputs[:n])
            assert 0 < law.pmf(draw.outputs[n]) <= 1 + 1e-12
            assert law.support is None or draw.outputs[n] in law.support
            assert law.pmf("no sample") == 0


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - TOLD_ONLY - {"cards"}))
def test_a_description_that_tells_parameters_lowers_the_loss(name):
    gains = []
    for draw in draws(name):
        if not arguments(draw) or len(draw.outputs) < 3:
            continue
        seen, following = draw.outputs[:2], draw.outputs[2]
        untold = draw.predictive.func(seen)
        gains.append(np.log(draw.predictive(seen).pmf(following)) - np.log(untold.pmf(following)))
        if len(gains) == 150:
            break
    assert len(gains) > 50
    assert np.mean(gains) > 0


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - TOLD_ONLY - {"cards"}))
def test_more_outputs_lower_the_loss_where_nothing_is_told(name):
    gains = []
    for draw in draws(name):
        if len(draw.outputs) < 14:
            continue
        untold = getattr(draw.predictive, "func", draw.predictive)
        few, many = untold(draw.outputs[:1]), untold(draw.outputs[:13])
        gains.append(np.log(many.pmf(draw.outputs[13])) - np.log(few.pmf(draw.outputs[13])))
        if len(gains) == 100:
            break
    assert np.mean(gains) > 2 * np.std(gains) / np.sqrt(len(gains))


@pytest.mark.parametrize("name", sorted(SAMPLES))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_order_of_the_outputs_does_not_matter(name, data):
    draw = draws(name)[data.draw(st.integers(0, SIMULATIONS - 1))]
    outputs = draw.outputs[: data.draw(st.integers(2, 8))]
    if len(outputs) < 2:
        return
    *seen, following = outputs
    law, shuffled = draw.predictive(seen), draw.predictive(data.draw(st.permutations(seen)))
    assert law.support == shuffled.support
    for text in outputs:
        assert shuffled.pmf(text) == pytest.approx(law.pmf(text), rel=1e-9)
    # The two last outputs may change places too: their joint probability is the same.
    joint = [
        draw.predictive(seen[:-1]).pmf(a) * draw.predictive([*seen[:-1], a]).pmf(b)
        for a, b in ((seen[-1], following), (following, seen[-1]))
        if len(seen) > 1
    ]
    if joint:
        assert joint[0] == pytest.approx(joint[1], rel=1e-6)
