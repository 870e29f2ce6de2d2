"""The best of several prompts is the best of each kind."""

import numpy as np

from spectrum_trl.tiny.columns import best_of
from spectrum_trl.tiny.scores import TinyResult


def test_each_kind_is_that_of_the_prompt_which_does_best(
    learnt_result: TinyResult, uniform_result: TinyResult
) -> None:
    mixed = learnt_result._replace(coin=uniform_result.coin, ranges=uniform_result.ranges)
    other = uniform_result._replace(coin=learnt_result.coin, ranges=learnt_result.ranges)
    best = best_of([mixed, other])
    assert np.mean(best.urn.js_divergence()) == min(
        np.mean(one.urn.js_divergence()) for one in (mixed, other)
    )
    for kind in ("coin", "die", "number"):
        assert getattr(best, kind).excess().mean() == min(
            getattr(one, kind).excess().mean() for one in (mixed, other)
        )
    for kind in ("urns", "ranges"):
        assert np.mean(getattr(best, kind).share_valid) == max(
            np.mean(getattr(one, kind).share_valid) for one in (mixed, other)
        )
