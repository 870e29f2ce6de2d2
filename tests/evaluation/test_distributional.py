"""Shares of candidates are those of our own scoring; answers in JSON are read, or counted as unread."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import Item, distributional_tasks
from spectrum_trl.evaluation.options import read_options
from spectrum_trl.evaluation.verbalized import draw_answer, read_shares
from spectrum_trl.metrics.distributional import (
    compare,
    compare_as_published,
    expected_total_variation,
    noise_floor,
    uniform_guess,
)
from tests.evaluation.harness import evaluate, load
from tests.messages import naming
from tests.oracles import candidate_logprobs


def messages(row: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"role": "description", "content": row["description"]},
        {"role": "input", "content": row["input"]},
    ]


@pytest.fixture(scope="module")
def urn(random_model, world_tokenizer) -> tuple[Any, dict[str, Any]]:
    task = load("spectrum_dist_urn", world_tokenizer)
    return task, evaluate(task, random_model, world_tokenizer, limit=12)


def test_comparisons_are_those_of_our_own_scoring(urn, random_model, world_tokenizer) -> None:
    task, figures = urn
    rows = [task.eval_docs[n] for n in range(12)]
    logs = candidate_logprobs(
        random_model, world_tokenizer, [messages(row) for row in rows], [row["candidates"] for row in rows]
    )
    expected = [compare(row["target"], np.exp(log)) for row, log in zip(rows, logs, strict=True)]
    for name in ("js_divergence", "kl_divergence", "total_variation", "coverage", "mode_match"):
        values = [getattr(one, name) for one in expected]
        assert figures[name] == pytest.approx(np.mean(values), rel=1e-4)
        assert [row[name][0] for row in figures["samples"]] == pytest.approx(values, rel=1e-4)
    guesses = [uniform_guess(row["target"]).js_divergence for row in rows]
    assert figures["uniform_js_divergence"] == pytest.approx(np.mean(guesses))
    for name in ("js_divergence", "uniform_js_divergence"):
        assert figures[f"{name}_low"] is figures[f"{name}_high"] is None
    assert figures["items"] == 12


@pytest.mark.slow
def test_published_scoring_leaves_the_end_of_the_turn_out(random_model, world_tokenizer) -> None:
    task = load("spectrum_dist_urn", world_tokenizer, scoring="published")
    figures = evaluate(task, random_model, world_tokenizer, limit=3)
    with_end = evaluate(load("spectrum_dist_urn", world_tokenizer), random_model, world_tokenizer, limit=3)
    assert figures["coverage"] > with_end["coverage"]
    row = task.eval_docs[0]
    assert all(not args[1].endswith(task.prompts.end) for args in figures["samples"][0]["arguments"])
    assert compare_as_published(row["target"], row["target"]).js_divergence == pytest.approx(0)


def test_every_state_is_scored_whole(random_model, world_tokenizer) -> None:
    figures = evaluate(load("spectrum_dist_states", world_tokenizer), random_model, world_tokenizer)
    assert figures["items"] == 1 and 0 < figures["js_divergence"] < np.log(2)
    assert figures["js_divergence_low"] is None


@pytest.mark.parametrize("name", ["states", "urn"])
def test_targets_sum_to_one_and_are_reproducible(name: str) -> None:
    task = distributional_tasks()[name]
    dropped: Any = {}
    items = task.items(Path(), seed=42, dropped=dropped)
    assert items == task.items(Path(), seed=42, dropped=dropped)
    for item in items:
        assert sum(item.target) == pytest.approx(1) and len(item.candidates) == len(set(item.candidates))


@pytest.mark.parametrize(
    ("answer", "shares"),
    [
        ('{"red": 0.7, "blue": 0.3}', [0.7, 0.3]),
        ('Sure: {"Red": 0.5}', [0.5, 0.0]),
        ('{"red": 70, "blue": 30}', [0.7, 0.3]),
        ('{"red": 0.2, "green": 0.8}', [0.2, 0.0]),
        ('{"red": 1, "green": 99}', [0.01, 0.0]),
        ('{"red": "30%", "blue": "70 %"}', [0.3, 0.7]),
        ('<think>{"red": 1}</think>{"blue": 1}', [0.0, 1.0]),
        ('{"blue": 1}</think>{"red": 1}', [1.0, 0.0]),
        ('<think>perhaps {"red": 1}', None),
        ('As {color: share}: {"red": 0.9}. No, {"red": 0.2, "blue": 0.8} {sic}', [0.2, 0.8]),
        ('{"A. Red": 0.4, "(B) blue": 0.6}', [0.4, 0.6]),
        ('{"red: warm": 0.4, "blue": 0.6, "why": "sky"}', [0.4, 0.6]),
        ('{"red: blue": 0.4, "blue": 0.6}', [0.0, 0.6]),
        ('{"red": 0.4, "Red": 0.6}', None),
        ('{"red": "most"}', None),
        ('{"red": true}', None),
        ('{"red": -1, "blue": 2}', None),
        ('{"green": 1}', None),
        ("red", None),
        ("{", None),
        ("[1, 2]", None),
    ],
)
def test_verbalized_shares_are_read_or_not_parsed(answer: str, shares: list[float] | None) -> None:
    found = read_shares(answer, candidates=["red", "blue"])
    assert (found is None) if shares is None else found == pytest.approx(shares)


@pytest.mark.slow
def test_published_uniform_guesses_are_smoothed_like_the_model(random_model, world_tokenizer) -> None:
    task = load("spectrum_dist_urn", world_tokenizer, scoring="published")
    figures = evaluate(task, random_model, world_tokenizer, limit=3)
    guesses = [
        compare_as_published(row["target"], [1 / len(row["target"])] * len(row["target"]))
        for row in (task.eval_docs[n] for n in range(3))
    ]
    for name in ("kl_divergence", "reverse_kl", "mode_match"):
        expected = np.mean([getattr(guess, name) for guess in guesses])
        assert figures[f"uniform_{name}"] == pytest.approx(expected, rel=1e-9)


def test_an_impossible_answer_has_no_reverse_divergence_and_all_json_is_strict(
    random_model, world_tokenizer
) -> None:
    task = load("spectrum_dist_urn", world_tokenizer)
    rows = list(task.eval_docs)[:2]
    for row in rows:
        row["target"] = [1.0, *[0.0] * (len(row["target"]) - 1)]
    found = [task.score(row, [(-2.0 - n, True) for n in range(len(row["target"]))]) for row in rows]
    figures = {name: of([row.get(name) for row in found]) for name, of in task.aggregation().items()}
    assert figures["reverse_kl"] is None and figures["kl_divergence"] > 0
    for value in (found, figures):
        json.dumps(value, allow_nan=False)


def test_the_proper_score_holds_where_probabilities_are_zero_in_floats(world_tokenizer) -> None:
    task = load("spectrum_dist_urn", world_tokenizer)
    row = {**task.eval_docs[0], "candidates": ["red", "blue"], "target": [0.75, 0.25]}
    found = task.score(row, [(-1000.0, True), (-1000.0 - np.log(3), True)])
    assert found["js_divergence"][0] == pytest.approx(0, abs=1e-12) and found["coverage"][0] == 0
    assert found["log_loss"][0] == pytest.approx(0.75 * 1000 + 0.25 * (1000 + np.log(3)))
    assert found["uniform_log_loss"][0] == pytest.approx(np.log(2))


@pytest.mark.slow
def test_one_of_the_verbalized_answers_is_drawn_by_its_probability() -> None:
    answer = 'Here: [{"text": "a", "probability": 0.9}, {"text": "b", "probability": 0.1}]'
    drawn = [draw_answer(answer, rng=np.random.default_rng(n)) for n in range(500)]
    assert 0.85 < drawn.count("a") / 500 < 0.95 and set(drawn) == {"a", "b"}
    for broken in ("", "[]", '[{"text": 1, "probability": 1}]', '[{"text": "a"}]', '{"text": "a"}'):
        assert draw_answer(broken, rng=np.random.default_rng(0)) is None


def test_what_does_not_parse_has_no_figure_but_is_counted(random_model, world_tokenizer) -> None:
    world_tokenizer = _with_chat(world_tokenizer)
    task = load("spectrum_dist_urn", world_tokenizer, format="verbalized")
    figures = evaluate(task, random_model, world_tokenizer, limit=1)
    assert figures["parsed"] == 0 and figures["js_divergence"] is None and figures["items"] == 0


def _with_chat(tokenizer: Any) -> Any:
    import copy

    found = copy.deepcopy(tokenizer)
    found.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
    )
    return found


def test_real_shares_stand_beside_the_uniform_guess_the_marginal_and_their_own_noise(
    suite_data: Path, world_tokenizer
) -> None:
    options = {"sequences": 2000, "max_length": 4096, "data_dir": str(suite_data)}
    task = load("spectrum_dist_nytimes", world_tokenizer, **options)
    rows = [task.score(row, [(-1.0,)] * len(row["candidates"])) for row in task.eval_docs]
    means = {
        name: np.mean([row[name][0] for row in rows])
        for name in ("uniform_js_divergence", "marginal_js_divergence", "floor_js_divergence")
    }
    assert means["uniform_js_divergence"] == pytest.approx(0.048, abs=5e-4)
    assert means["marginal_js_divergence"] == pytest.approx(0.035, abs=5e-4)
    # The counted shares stand for the true ones, which are a little less even.
    assert means["floor_js_divergence"] == pytest.approx(0.025, abs=2e-3)
    # Equal log-probabilities are the uniform guess, whose score is 0.
    assert task.aggregation()["simbench_score"]([row["simbench_score"] for row in rows]) == pytest.approx(0)
    assert all(row["ordinal_distance"] == row["uniform_ordinal_distance"] for row in rows)


@pytest.mark.parametrize(
    ("name", "expected", "loss"),
    [
        ("global_oqa", 0.0667, 1.0939),
        ("nytimes", 0.0408, 1.3384),
        ("rotten_tomatoes", 0.0469, 0.6675),
        ("urn", 0.0418, 1.3068),
    ],
)
def test_the_marginal_is_of_all_questions_however_few_are_evaluated(
    name: str, expected: float, loss: float, suite_data: Path, world_tokenizer
) -> None:
    options = {"sequences": 40, "max_length": 4096, "data_dir": str(suite_data)}
    task = load(f"spectrum_dist_{name}", world_tokenizer, **options)
    scored = [task.score(row, [(-1.0,)] * len(row["candidates"])) for row in task.eval_docs]
    # One item of GlobalOpinionQA and 32 urns have no other question with their answers, and count as uniform.
    found = [row["marginal_js_divergence"][0] for row in scored]
    assert len(found) == 40 and np.mean(found) == pytest.approx(expected, abs=5e-5)
    assert np.mean([row["marginal_log_loss"][0] for row in scored]) == pytest.approx(loss, abs=1e-4)


def test_the_marginal_is_that_of_other_clusters_of_the_group_with_the_same_answers(world_tokenizer) -> None:
    task = load("spectrum_dist_urn", world_tokenizer)
    rows = [
        {**task.eval_docs[0], "group": group, "cluster": cluster, "candidates": answers, "target": target}
        for group, cluster, answers, target in (
            ("g", "1", ["a", "b"], [0.2, 0.8]),
            ("g", "1", ["a", "b"], [0.9, 0.1]),
            ("g", "2", ["a", "b"], [1.0, 0.0]),
            ("g", "3", ["a", "b"], [0.7, 0.3]),
            ("g", "4", ["a", "c"], [0.5, 0.5]),
            ("h", "5", ["a", "b"], [0.5, 0.5]),
        )
    ]
    task.every = [Item(**row) for row in rows]
    found = [task.score(row, [(-1.0,)] * 2) for row in rows]
    sums = ([1.7, 0.3], [1.7, 0.3], [1.8, 1.2], [2.1, 0.9])
    for row, others, one in zip(rows, sums, found, strict=False):
        expected = compare(row["target"], others).js_divergence
        assert one["marginal_js_divergence"][0] == pytest.approx(expected)
        # The uniform guess is one more question: no answer is impossible.
        smoothed = (np.array(others) + 0.5) / (sum(others) + 1)
        assert one["marginal_log_loss"][0] == pytest.approx(-np.dot(row["target"], np.log(smoothed)))
    # Those without others are uniform, so all means are over the same items.
    for one in found[4:]:
        for name in ("js_divergence", "log_loss"):
            assert one[f"marginal_{name}"] == one[f"uniform_{name}"]
    task.every = [Item(**row) for row in rows[3:]]
    del task._sums, task._has_marginal
    alone = task.score(rows[3], [(-1.0,)] * 2)
    assert alone["marginal_js_divergence"] is alone["marginal_log_loss"] is None


def test_drawn_answers_are_counted_and_stand_beside_an_exact_sampler_of_as_many(world_tokenizer) -> None:
    task = load("spectrum_dist_urn", world_tokenizer, elicit="drawn", samples=8)
    row = {**task.eval_docs[0], "candidates": ["red", "blue"], "target": [0.75, 0.25]}
    requests = list(task.requests(row))
    assert len(requests) == 8 and len({str(one) for one in requests}) == 1
    assert requests[0][0] == "generate_until" and requests[0][1][0].endswith("output\n")
    settings = requests[0][1][1]
    assert (settings["do_sample"], settings["temperature"], settings["top_k"]) == (True, 1.0, 0)
    # Case, a label and a further line do not matter; three name no candidate.
    found = task.score(row, ["red", " Red ", "A. red", "blue", "blue\nred", "green", "", "reddish"])
    assert found["coverage"][:2] == [5 / 8, 1] and found["items"] == 1
    expected = compare([0.75, 0.25], [3, 2])
    assert found["total_variation"][0] == pytest.approx(0.15) == pytest.approx(expected.total_variation)
    assert found["js_divergence"][0] == pytest.approx(expected.js_divergence)
    exact = expected_total_variation([0.75, 0.25], n=5)
    assert found["excess_total_variation"][0] == pytest.approx(0.15 - exact)
    assert found["floor_js_divergence"][0] == pytest.approx(noise_floor([0.75, 0.25], n=5))
    # An answer that was not drawn is not impossible.
    assert not {"log_loss", "kl_divergence", "reverse_kl", "cross_entropy"} & (
        set(found) | set(task.aggregation())
    )
    nothing = task.score(row, ["green"] * 8)
    assert nothing["excess_total_variation"][0] == nothing["total_variation"][0] == 1
    assert task.aggregation()["low_coverage"]([nothing["low_coverage"]]) == 1
    json.dumps([found, nothing], allow_nan=False)


@pytest.mark.parametrize("fmt", ["spectrum", "colon", "chat"])
def test_an_exact_sampler_has_no_excess_whatever_the_format(fmt: str, world_tokenizer) -> None:
    tokenizer = _with_chat(world_tokenizer) if fmt == "chat" else world_tokenizer
    task = load("spectrum_dist_urn", tokenizer, format=fmt, elicit="drawn", sequences=200)
    assert task.format == f"{fmt}, drawn"
    rng = np.random.default_rng(0)
    excess = [
        task.score(row, rng.choice(row["candidates"], p=row["target"], size=100).tolist())[
            "excess_total_variation"
        ][0]
        for row in task.eval_docs
    ]
    assert len(list(task.requests(task.eval_docs[0]))) == 100
    assert np.mean(excess) == pytest.approx(0, abs=4 * np.std(excess) / np.sqrt(len(excess)))
    assert np.mean(excess) == pytest.approx(0, abs=0.01)


def test_a_model_is_drawn_from_as_it_is_scored(random_model, world_tokenizer) -> None:
    options = {"elicit": "drawn", "samples": 20}
    figures = evaluate(
        load("spectrum_dist_urn", world_tokenizer, **options), random_model, world_tokenizer, limit=2
    )
    assert figures["items"] == 2 and 0 <= figures["coverage"] <= 1
    assert figures["excess_total_variation"] <= figures["total_variation"] and "log_loss" not in figures


def test_one_way_of_asking_excludes_another(world_tokenizer) -> None:
    with pytest.raises(UserError, match=naming("metadata: elicit", "drawn", "format verbalized")):
        read_options({"elicit": "drawn", "format": "verbalized"})
