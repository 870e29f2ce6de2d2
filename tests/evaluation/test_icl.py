"""The harness gives the losses of our own scoring, whichever model class answers."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lm_eval.tasks import TaskManager

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.icl import Icl, Scored, _accuracies, _restricted
from spectrum_trl.evaluation.icl_sequences import drawn
from spectrum_trl.known_tasks import tasks
from spectrum_trl.metrics.icl import unigram_losses
from spectrum_trl.scoring.engine import TokenScores
from spectrum_trl.suite.building.held_out import is_held_out
from spectrum_trl.suite.sequences.builders import description_message
from spectrum_trl.suite.task import Data
from tests.evaluation.harness import evaluate, load
from tests.messages import named, naming
from tests.oracles import output_losses


@pytest.fixture(scope="module")
def coinflip(random_model, world_tokenizer) -> tuple[Icl, dict[str, Any]]:
    task = load("spectrum_icl_coinflip", world_tokenizer, sequences=20, max_tokens=100, max_length=480)
    return task, evaluate(task, random_model, world_tokenizer)


def test_losses_are_those_of_our_own_scoring(coinflip, random_model, world_tokenizer) -> None:
    task, figures = coinflip
    described = [row for row in task.eval_docs if row["messages"][0]["role"] == "description"]
    assert 0 < len(described) < len(task.eval_docs)
    by_id = {row["doc"]["id"]: row for row in figures["samples"]}
    for row in described:
        (expected,) = output_losses(random_model, world_tokenizer, [row["messages"]])
        found = by_id[row["id"]]
        assert found["loss"][1] == len(expected) - 1
        assert found["loss"][0] == pytest.approx(expected[1:].sum(), rel=1e-5)
        assert found["loss_first"] == [pytest.approx(expected[0], rel=1e-5), 1]
        assert found["loss_last"][0] == pytest.approx(expected[-1], rel=1e-5)
        for k in (1, 2):
            assert found[f"loss_at_{k}"][0] == pytest.approx(expected[k], rel=1e-5)


def test_means_run_over_outputs_and_intervals_hold_them(coinflip) -> None:
    task, figures = coinflip
    rows = [row["loss"] for row in figures["samples"]]
    assert figures["loss"] == pytest.approx(sum(r[0] for r in rows) / sum(r[1] for r in rows))
    # Fewer sequences than have an interval.
    for name in ("loss", "loss_all", "loss_last", "loss_at_1", "loss_at_2"):
        assert figures[f"{name}_low"] is figures[f"{name}_high"] is None
    assert figures["outputs"] == sum(r[1] for r in rows)
    assert figures["sequences_at_1"] >= figures["sequences_at_2"] > 0
    assert figures["sequences"] == len(task.eval_docs)
    assert len(task.eval_docs) + sum(task.config.metadata["left_out"].values()) == 20
    # Stock models report sums alone: no figure is better than a zero.
    assert "accuracy" not in figures and "calibration_error" not in figures


def test_accuracies_are_of_the_first_the_mean_and_all_tokens_behind_what_leads_to_them() -> None:
    def answer(*correct: bool) -> TokenScores:
        logs = [-float(n) for n, _ in enumerate(correct)]
        return TokenScores(logs, list(correct), [[-n - 0.5] for n in range(len(correct))])

    # Two lead tokens, which are wrong, before each output.
    whole = {
        0: answer(False, False, True, True),
        1: answer(False, False, True, False, False),
        3: answer(False, False, True, True, True, True),
        4: answer(False, False, False, True),
    }
    leads = dict.fromkeys(whole, answer(False, False))
    scored = Scored(every=[0, 1, 3, 4], chosen=[1, 3], has_first=True, last=4)
    found = _accuracies(whole, leads, scored)
    assert found["accuracy"] == [1, 2] and found["first_token_accuracy"] == [2, 2]
    assert found["token_accuracy"] == [pytest.approx(1 / 3 + 1), 2]
    assert found["accuracy_all"] == [2, 3] and found["accuracy_last"] == [0, 1]
    assert found["calibration_error"] == {
        "correct": [-2, -3, -4, -2, -3, -4, -5],
        "rivals": [[-2.5], [-3.5], [-4.5], [-2.5], [-3.5], [-4.5], [-5.5]],
    }
    assert found["calibration_error_by_chance"] == found["calibration_error"]
    bare = _accuracies(whole, {}, scored)
    assert bare["accuracy"] == [0, 2] and bare["first_token_accuracy"] == [0, 2]


def test_verbalized_is_told_and_recorded_as_the_format_that_is_written(
    world_tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = copy.deepcopy(world_tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|im_end|>{% endfor %}"
    )
    task = load("spectrum_icl_coinflip", tokenizer, sequences=3, max_tokens=100, format="verbalized")
    task.build_all_requests()
    assert task.config.metadata["format"] == "chat" and "verbalized is for" in caplog.text


def test_first_outputs_count_only_after_a_description(coinflip) -> None:
    task, figures = coinflip
    for row in figures["samples"]:
        described = row["doc"]["messages"][0]["role"] == "description"
        assert (row["loss_first"] is not None) == described
        n = sum(message["role"] == "output" for message in row["doc"]["messages"])
        assert row["loss"][1] == n - 1 and row["loss_all"][1] == n - 1 + described


def test_samples_keep_the_ends_of_contexts_only(coinflip) -> None:
    _, figures = coinflip
    contexts = [context for row in figures["samples"] for context, _ in row["arguments"]]
    # What is cut off is marked, so that nobody takes the rest for the whole prompt.
    assert all(len(text) <= 200 or len(text) == 201 and text[0] == "…" for text in contexts)
    assert any(text[0] == "…" for text in contexts)


@pytest.mark.parametrize("name", ["binomial", "cards", "coinflip", "geometric"])
@pytest.mark.slow
def test_regret_is_the_loss_above_the_exact_predictive(name: str, uniform_model, world_tokenizer) -> None:
    task = load(f"spectrum_icl_{name}", world_tokenizer, sequences=8, max_tokens=120)
    figures = evaluate(task, uniform_model, world_tokenizer)
    draws: Any = dict(tasks()[name].build.draws(seed=42))
    for row in figures["samples"]:
        draw, described = draws[row["doc"]["id"]], row["loss_first"] is not None
        if not described or draw.predictive is None:
            assert row["regret"] is None
            continue
        n = int(row["loss"][1])
        exact = [-np.log(draw.predictive(draw.outputs[:k]).pmf(draw.outputs[k])) for k in range(1, n + 1)]
        assert row["regret"][0] == pytest.approx(row["loss"][0] - sum(exact), rel=1e-5)


@pytest.mark.slow
def test_many_outputs_are_a_random_choice_whose_mean_is_not_biased(world_tokenizer, random_model) -> None:
    some = load("spectrum_icl_cards", world_tokenizer, sequences=30, max_tokens=250, outputs=4)
    every = load("spectrum_icl_cards", world_tokenizer, sequences=30, max_tokens=250, outputs=1000)
    chosen = [some._scored(row) for row in some.eval_docs]
    assert all(len(scored.chosen) == 4 and 0 not in scored.chosen for scored in chosen)
    assert len({tuple(scored.chosen) for scored in chosen}) > 10
    assert all({1, 2, 4, 8, scored.last} <= set(scored.every) for scored in chosen)
    found, exact = (evaluate(task, random_model, world_tokenizer) for task in (some, every))
    assert found["loss_low"] < exact["loss"] < found["loss_high"]
    assert found["loss_at_8"] == pytest.approx(exact["loss_at_8"], rel=1e-6)


def test_which_outputs_are_chosen_does_not_depend_on_whether_a_description_is_kept(world_tokenizer) -> None:
    task = load("spectrum_icl_cards", world_tokenizer, sequences=400, max_tokens=250, outputs=1)
    described = [row["messages"][0]["role"] == "description" for row in task.eval_docs]
    long = [{"role": "output", "content": "x"}] * 64
    chosen = [task._scored({"id": row["id"], "messages": long}).chosen[0] for row in task.eval_docs]
    assert abs(np.corrcoef(described, chosen)[0, 1]) < 0.3


def test_descriptions_and_the_number_of_examples_can_be_set(world_tokenizer) -> None:
    rows = {
        described: load(
            "spectrum_icl_coinflip", world_tokenizer, sequences=20, described=described, examples=3
        )
        for described in ("sometimes", "never", "always")
    }
    roles = {
        name: [[m["role"] for m in row["messages"]] for row in task.eval_docs] for name, task in rows.items()
    }
    assert roles["never"] == [["output"] * 4] * 20
    assert roles["always"] == [["description", *["output"] * 4]] * 20
    assert 0 < roles["sometimes"].count(["output"] * 4) < 20
    texts = {
        name: [[m["content"] for m in row["messages"][-4:]] for row in task.eval_docs]
        for name, task in rows.items()
    }
    assert texts["never"] == texts["always"] == texts["sometimes"]
    far = load("spectrum_icl_coinflip", world_tokenizer, sequences=5, examples=500, max_tokens=200)
    ((reason, n),) = far.config.metadata["left_out"].items()
    assert named(reason, 501, 200) and n == 5


def test_few_labels_are_scored_beside_uniform_guess_counting_and_majority(
    coinflip, random_model, world_tokenizer
) -> None:
    for row in coinflip[1]["samples"]:
        total, n = row["uniform_loss"]
        assert n == row["loss"][1] and total == pytest.approx(n * np.log(2))
        assert 0 < row["counting_loss"][0] < row["loss"][0] and 0 <= row["majority_accuracy"][0] <= n
    cards = load("spectrum_icl_cards", world_tokenizer, sequences=3, max_tokens=100)
    many = evaluate(cards, random_model, world_tokenizer)
    assert many["loss"] > 0 and many["counting_loss"] is many["uniform_loss"] is None
    assert coinflip[1]["unigram_loss"] is None


@pytest.mark.parametrize("fmt", ["spectrum", "colon"])
def test_open_outputs_are_scored_beside_a_unigram_of_the_tokens_that_the_model_is_scored_on(
    fmt: str, random_model, world_tokenizer
) -> None:
    cards = load("spectrum_icl_cards", world_tokenizer, sequences=3, max_tokens=100, format=fmt)
    figures = evaluate(cards, random_model, world_tokenizer)
    for row, scored in zip(cards.eval_docs, figures["samples"], strict=True):
        texts = [one.output for one in cards.prompts.outputs(row["messages"])]
        ids = [world_tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        expected = unigram_losses(ids, vocabulary=len(world_tokenizer))[1:].sum()
        assert scored["unigram_loss"] == [pytest.approx(expected), scored["loss"][1]]
        # A model that knows nothing is worse.
        assert expected < scored["loss"][0]


def test_restricted_to_the_labels_probabilities_sum_to_one(world_tokenizer, random_model) -> None:
    task = load("spectrum_icl_coinflip", world_tokenizer, sequences=5, max_tokens=100, restricted="true")
    figures = evaluate(task, random_model, world_tokenizer)
    for row in figures["samples"]:
        sums, n = row["loss_restricted"]
        assert 0 < sums / n < 30 and row["accuracy_restricted"][1] == n
        assert sums <= row["loss"][0]
    # A random model gives the two sides of a coin next to nothing.
    assert figures["coverage"] < 0.05 and figures["low_coverage"] == 1


def test_a_model_that_knows_nothing_is_right_by_chance_among_the_labels() -> None:
    same = (-0.5, False)
    found = _restricted({1: same, 2: same}, {1: [same] * 3, 2: [same] * 3}, [1, 2], loss={1: 2.0, 2: 2.0})
    assert found["accuracy_restricted"] == [pytest.approx(0.5), 2]


@pytest.mark.parametrize("lead", [0.0, -7.0])
def test_coverage_is_what_the_labels_have_together_whatever_leads_to_them(lead: float) -> None:
    labels = {1: [0.5, 0.2, 0.1], 2: [0.01, 0.02, 0.03]}
    answers = {n: [(float(np.log(p)) + lead, False) for p in shares] for n, shares in labels.items()}
    whole, others = {n: a[0] for n, a in answers.items()}, {n: a[1:] for n, a in answers.items()}
    found = _restricted(whole, others, [1, 2], loss={n: lead - a[0] for n, a in whole.items()})
    assert found["coverage"] == found["low_coverage"] == [pytest.approx(0.8 + 0.06), 2]
    assert found["loss_restricted"] == [pytest.approx(np.log(8 / 5) + np.log(6)), 2]


def test_outputs_lose_their_first_spaces_whichever_tokenizer_reads_them(tmp_path: Path) -> None:
    def indented(_: Data) -> Any:
        for n in range(20):
            texts = ("  a", "b ", "\u00a0c d", "", "\t e")
            yield (
                f"{n}",
                [description_message(" A letter."), *({"role": "output", "content": t} for t in texts)],
            )

    task = dataclasses.replace(tasks()["coinflip"], name="indented", build=indented)
    rows, _ = drawn(task, folder=tmp_path, seed=1, most=10)
    for _, messages in rows:
        assert [m["content"] for m in messages if m["role"] == "output"] == ["a", "b ", "c d", "", "e"]
        assert {m["content"] for m in messages if m["role"] == "description"} <= {" A letter."}


def test_with_a_held_out_share_only_those_held_out_of_training_are_evaluated(
    tmp_path: Path, world_tokenizer
) -> None:
    rows = [f"person {n},film {k},{(n + k) % 5}" for n in range(60) for k in range(4)]
    (tmp_path / "a.csv").write_text("\n".join(["user,film,stars", *rows]))
    file = tmp_path / "mine.yaml"
    keys = "{file: a.csv, group_by: user, input: film, output: stars, descriptions: [x]}"
    file.write_text(f"task: mine\nclass: !function spectrum_trl.evaluation.icl.Icl\nspectrum: {keys}\n")
    task = load(str(file), world_tokenizer, held_out_share=0.3)
    found = {row["id"] for row in task.eval_docs}
    people = [f"person {n}" for n in range(60)]
    assert found == {name for name in people if is_held_out(name, source="own", share=0.3)} != set()
    metadata = task.config.metadata
    assert metadata["held_out_share"] == 0.3
    assert list(metadata["left_out"].values()) == [60 - len(found)]
    drawn_anew = load(
        "spectrum_icl_coinflip", world_tokenizer, sequences=6, max_tokens=150, held_out_share=0.3
    )
    assert len(drawn_anew.eval_docs) == 6 and "held_out_share" not in drawn_anew.config.metadata


def test_a_task_with_too_many_labels_refuses_the_restriction(world_tokenizer) -> None:
    task = load("spectrum_icl_cards", world_tokenizer, sequences=5, max_tokens=200, restricted="true")
    with pytest.raises(UserError, match=naming("spectrum_icl_cards", "restricted", 30, 51)):
        task.build_all_requests()


def test_a_model_with_a_short_context_gets_fewer_examples_not_a_cut_prompt(world_tokenizer) -> None:
    long, short = (
        load("spectrum_icl_cards", world_tokenizer, sequences=5, max_tokens=2048, max_length=length)
        for length in (4096, 300)
    )
    assert short.config.metadata["k"] < long.config.metadata["k"] == 51
    for row in short.eval_docs:
        outputs = short.prompts.outputs(row["messages"])
        text = outputs[-1].context + outputs[-1].output
        assert len(world_tokenizer(text, add_special_tokens=False)["input_ids"]) <= 300


@pytest.mark.parametrize("fmt", ["colon", "spectrum"])
def test_every_format_scores_the_same_outputs_of_the_same_sequences(world_tokenizer, fmt: str) -> None:
    task = load("spectrum_icl_coinflip", world_tokenizer, sequences=6, max_tokens=150, format=fmt)
    reference = load("spectrum_icl_coinflip", world_tokenizer, sequences=6, max_tokens=150)
    assert [row["id"] for row in task.eval_docs] == [row["id"] for row in reference.eval_docs]
    assert [task._scored(r) for r in task.eval_docs] == [reference._scored(r) for r in reference.eval_docs]


def test_data_that_are_not_there_give_no_figure(
    tmp_path: Path, world_tokenizer, random_model, caplog: pytest.LogCaptureFixture
) -> None:
    task = load("spectrum_icl_polis_vote", world_tokenizer, data_dir=str(tmp_path))
    assert task.missing is not None and "openData/*/votes.csv" in task.missing.files
    assert named(caplog.text, "spectrum_icl_polis_vote", "spectrum-trl data fetch polis")
    figures = evaluate(task, random_model, world_tokenizer)
    assert not [name for name in figures if name.startswith(("loss", "accuracy"))]


@pytest.mark.parametrize("shown", [("bad", "good"), (" bad", " good"), ("bad", "bad ")])
@pytest.mark.parametrize("fmt", ["spectrum", "colon"])
def test_an_output_competes_with_each_other_label_as_it_is_written(
    shown: tuple[str, str], fmt: str, world_tokenizer, tmp_path: Path
) -> None:
    rows = [f"{who},{1 + (who + n) % 2}" for who in range(4) for n in range(4)]
    (tmp_path / "a.csv").write_text("\n".join(["who,what", *rows]))
    spectrum = {"file": "a.csv", "group_by": "who", "output": "what", "descriptions": ["D"]}
    spectrum |= {"candidates": {"1": shown[0], "2": shown[1]}}
    own = {"task": "mine", "spectrum": spectrum}
    (tmp_path / "mine.yaml").write_text(
        "class: !function spectrum_trl.evaluation.icl.Icl\n" + yaml.safe_dump(own, default_flow_style=False)
    )
    metadata = {"tokenizer": world_tokenizer, "format": fmt, "restricted": True, "max_length": 512}
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False, metadata=metadata)
    (task,) = manager.load(["mine"])["tasks"].values()
    labels = {text.lstrip() for text in shown} if fmt == "spectrum" else {text.strip() for text in shown}
    assert task._labels == sorted(map(task.prompts.answer, labels))
    row = task.eval_docs[0]
    asked = list(task.requests(row))
    assert len(asked) % len(task._scored(row).every) == 0
    found = task.score(row, [(-1.0, False)] * len(asked))
    # Labels that are equally likely share the credit, each counted once.
    total, n = found["accuracy_restricted"]
    assert total / n == pytest.approx(1 / len(labels))


def test_the_interval_of_the_majority_baseline_ends_at_1(coinflip) -> None:
    rows = [[10.0, 10]] * 18 + [[9.0, 10], [9.5, 10]] * 5 + [[8.0, 10], [0.0, 10]]
    found = coinflip[0].aggregation()
    assert found["majority_accuracy"](rows) < found["majority_accuracy_high"](rows) <= 1


@pytest.mark.parametrize("share", [0.04, 0.5])
def test_losses_that_rare_long_outputs_decide_have_no_interval(
    share: float, world_tokenizer, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    long = rng.random(100) < share
    texts = ["word " * int(rng.integers(20, 60)) if each else "a" for each in long for _ in range(3)]
    lines = [f"p{n // 3},{n},{text}" for n, text in enumerate(texts)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,answer", *lines]))
    keys = "{file: a.csv, group_by: user, input: item, output: answer, descriptions: [x]}"
    text = f"task: mine\nclass: !function spectrum_trl.evaluation.icl.Icl\nspectrum: {keys}\n"
    (tmp_path / "mine.yaml").write_text(text)
    task = load(str(tmp_path / "mine.yaml"), world_tokenizer, sequences=30, max_length=1 << 20)
    rows, rare = [[float(n), 1] for n in range(30)], share < 0.1
    ends = task.aggregation()["loss_low"](rows), task.aggregation()["loss_last_high"](rows)
    assert [end is None for end in ends] == [rare] * 2
    assert task.aggregation()["accuracy_low"]([[n % 2, 1] for n in range(30)]) is not None
    assert task.config.metadata.get("rare_long_outputs", False) == rare
