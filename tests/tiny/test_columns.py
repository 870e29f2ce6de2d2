"""The best of several prompts is the best of each kind."""

from spectrum_trl.tiny.columns import best_of
from spectrum_trl.tiny.scores import COIN, RANGES, SAMPLES, SEQUENCES, URN, TinyResult


def test_each_kind_is_that_of_the_prompt_which_does_best(
    learnt_result: TinyResult, uniform_result: TinyResult
) -> None:
    swapped = {task: uniform_result.rows[task] for task in (COIN, RANGES)}
    mixed = learnt_result.model_copy(update={"rows": learnt_result.rows | swapped})
    swapped = {task: learnt_result.rows[task] for task in (COIN, RANGES)}
    other = uniform_result.model_copy(update={"rows": uniform_result.rows | swapped})
    best = best_of([mixed, other])
    assert best.mean(URN, "js_divergence") == min(one.mean(URN, "js_divergence") for one in (mixed, other))
    for task in SEQUENCES:
        assert best.regret(task).mean() == min(one.regret(task).mean() for one in (mixed, other))
    for task in SAMPLES:
        assert best.mean(task, "share_valid") == max(one.mean(task, "share_valid") for one in (mixed, other))
