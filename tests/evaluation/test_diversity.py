"""Samples through the harness: what is asked for, how it is cut, what counts as valid."""

from typing import Any

import pytest

from tests.evaluation.harness import evaluate, load


def test_a_uniform_model_is_sampled_from_its_own_distribution(uniform_model, world_tokenizer) -> None:
    task = load("spectrum_div_rng_1_100", world_tokenizer, samples=20)
    task.build_all_requests()
    assert len(task.instances) == 20
    (_, settings), *_ = (instance.arguments for instance in task.instances)
    assert settings == {
        "do_sample": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "until": ["<|im_end|>", "\n"],
        "max_gen_toks": 5,
    }
    figures = evaluate(task, uniform_model, world_tokenizer)
    assert figures["samples"] is not None and figures["unique_of_all"] > 0.9
    assert figures["share_valid"] < 0.5


def test_counts_intervals_and_the_exact_sampler(world_tokenizer) -> None:
    task = load("spectrum_div_us_states_full_names", world_tokenizer, samples=6)
    answers = ["Ohio", " ohio<|im_end|>x", "Iowa\nTexas", "Narnia", "", "Guam"]
    found = task.score(task.eval_docs[0], answers)
    assert found["share_valid"][0] == 0.5 and found["yield_count"][0] == 2
    assert found["share_unique"][0] == pytest.approx(2 / 3) and found["recall"][0] == 2 / 50
    assert found["exact_yield"][0] == pytest.approx(50 * (1 - 0.98**3))
    assert found["share_valid_low"][0] < 0.5 < found["share_valid_high"][0]
    for name in ("share_unique", "yield_count", "yield_share", "unique_of_all", "recall"):
        assert found[f"{name}_low"][0] <= found[name][0] <= found[f"{name}_high"][0]
    # Three valid samples say too little of the chance that two agree.
    assert found["collision"][0] == pytest.approx(1 / 3) and found["collision_low"] is None
    assert found["recall_high"][0] == pytest.approx(found["yield_count_high"][0] / 50)


@pytest.mark.parametrize(
    ("mode", "roles"),
    [("both", "dooo"), ("description", "d"), ("examples", "ooo")],
)
def test_a_prompt_shows_what_its_mode_says(world_tokenizer, mode: str, roles: str) -> None:
    task = load("spectrum_div_us_states_full_names", world_tokenizer, mode=mode, samples=1)
    task.build_all_requests()
    prompt = task.instances[0].arguments[0]
    starts = {"d": "<|im_start|>description\n", "o": "<|im_start|>output\n"}
    assert prompt.count(starts["d"]) == roles.count("d")
    assert prompt.count(starts["o"]) == roles.count("o") + 1
    assert prompt.endswith(starts["o"])


def test_generation_settings_of_the_command_line_win(world_tokenizer) -> None:
    task: Any = load("spectrum_div_rng_1_100", world_tokenizer, samples=1)
    task.set_config(key="generation_kwargs", value={"temperature": 0.5}, update=True)
    task.build_all_requests()
    assert task.instances[0].arguments[1]["temperature"] == 0.5
