"""The measurements equal what other routes to them give, and survive being written and read."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.paths import TINY_BASE
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.scoring.draw import Limits, draw
from spectrum_trl.suite.sequences.builders import description_message, iid
from spectrum_trl.tiny import scores as results
from spectrum_trl.tiny.evaluation_items import (
    OUTPUTS,
    PROMPTS,
    SAMPLES,
    SEQUENCES,
    URNS,
    evaluation_items,
    probabilities,
)
from spectrum_trl.tiny.measure import MAX_NEW_TOKENS, SHOWN, evaluate
from spectrum_trl.tiny.scores import InContext, TinyResult, Urns
from tests.oracles import output_losses, prompt_ids


def test_urns_agree_with_the_losses_of_whole_conversations(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase, learnt_result: TinyResult
) -> None:
    for index in (0, 57, URNS - 1):
        world = evaluation_items(0).urns[index]
        exact = probabilities(world)
        losses = output_losses(
            learnt.model, world_tokenizer, [iid([text], description=world.description) for text in exact]
        )
        q = np.exp(-np.concatenate(losses))
        assert learnt_result.urn.exact[index] == list(exact.values())
        assert learnt_result.urn.observed[index] == pytest.approx(q.tolist(), rel=1e-3)
        js = jensenshannon(list(exact.values()), q) ** 2
        assert learnt_result.urn.js_divergence()[index] == pytest.approx(js, rel=1e-3, abs=1e-6)


def test_a_uniform_model_has_the_losses_and_divergences_of_its_token_counts(
    world_tokenizer: PreTrainedTokenizerBase, uniform_result: TinyResult
) -> None:
    def tokens(text: str) -> int:
        return len(world_tokenizer(text)["input_ids"]) + 1

    items, per_token = evaluation_items(0), math.log(len(world_tokenizer))
    for kind in ("coin", "die", "number"):
        outputs = getattr(items, kind).outputs
        found = np.array(getattr(uniform_result, kind).losses)
        assert found.shape == (SEQUENCES, OUTPUTS)
        expected = [[tokens(text) * per_token for text in row] for row in outputs]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    for world, observed in zip(items.urns, uniform_result.urn.observed, strict=True):
        q = [math.exp(-tokens(text) * per_token) for text in probabilities(world)]
        assert observed == pytest.approx(q, rel=1e-4)


def test_excess_is_measured_from_the_optimal_losses(uniform_result: TinyResult) -> None:
    coin, optimal = uniform_result.coin, evaluation_items(0).coin.optimal
    assert np.array(coin.optimal).tolist() == optimal.tolist()
    late = (np.array(coin.losses) - optimal)[:, 8:].mean(axis=1)
    np.testing.assert_allclose(coin.excess(slice(8, None)), late)


def test_samples_are_counted_as_drawn(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase, learnt_result: TinyResult
) -> None:
    items = evaluation_items(0)
    assert np.mean(learnt_result.urns.share_valid) > 0.3, "a model that never answers right tests little"
    for part, (found, worlds) in enumerate(
        ((learnt_result.urns, items.full_urns), (learnt_result.ranges, items.ranges))
    ):
        assert found.n == SAMPLES and len(found.share_valid) == len(worlds) == PROMPTS
        for index in (0, 1, PROMPTS - 1):
            world = worlds[index]
            drawn = draw(
                learnt.model,
                prompt_ids(world_tokenizer, [description_message(world.description)]),
                seeds=[(0, part, index, number) for number in range(SAMPLES)],
                limits=Limits(MAX_NEW_TOKENS, ends=(world_tokenizer.eos_token_id,)),
            )
            texts = [world_tokenizer.decode(ids) for ids in drawn]
            texts = [text.removesuffix("<|im_end|>").strip() for text in texts if text.endswith("<|im_end|>")]
            valid = [text for text in texts if text in probabilities(world)]
            assert found.share_valid[index] == len(valid) / SAMPLES
            assert found.yield_count[index] == len(set(valid))
            assert found.share_unique[index] == (len(set(valid)) / len(valid) if valid else 0)
            p = np.array(list(probabilities(world).values()))
            assert found.exact_yield[index] == pytest.approx((1 - (1 - p) ** SAMPLES).sum())
            assert found.exact_unique[index] == pytest.approx(
                (1 - (1 - p) ** len(valid)).sum() / max(1, len(valid))
            )
            assert len(found.first[index]) == SHOWN


@pytest.mark.parametrize("fmt", ["colon", "chat_simple"])
def test_other_formats_score_the_same_outputs_after_their_own_prompts(
    fmt: Any, learnt: Any, world_tokenizer: PreTrainedTokenizerBase
) -> None:
    tokenizer = copy.deepcopy(world_tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    model = copy.deepcopy(learnt.model)
    # Chats are longer.
    model.config.max_position_embeddings = 1024
    found = evaluate(model, tokenizer, fmt=fmt, wording="Say: {}")
    prompts, world = Prompts(tokenizer, fmt=fmt), evaluation_items(0).urns[3]
    context = prompts.prompt([description_message(f"Say: {world.description}")])
    head = tokenizer(context, add_special_tokens=False)["input_ids"]
    # In plain text an answer may end its paragraph or the whole text.
    ends = ["\n\n", tokenizer.eos_token] if fmt == "colon" else [prompts.end]
    for text, observed in zip(probabilities(world), found.urn.observed[3], strict=True):
        total = 0.0
        for end in ends:
            whole = context + prompts.answer(text).removesuffix(prompts.end) + end
            ids = torch.tensor([tokenizer(whole, add_special_tokens=False)["input_ids"]])
            assert ids[0, : len(head)].tolist() == head
            with torch.no_grad():
                logs = model(ids).logits[0].log_softmax(-1)
            places = range(len(head), ids.shape[1])
            total += math.exp(sum(float(logs[place - 1, ids[0, place]]) for place in places))
        assert observed == pytest.approx(total, rel=1e-3)
    assert found.fmt == fmt and np.isfinite(found.coin.losses).all()


def test_the_slope_is_one_for_a_model_that_reads_and_zero_for_one_that_spreads_evenly() -> None:
    exact = [[0.5, 0.3, 0.2], [0.1, 0.9], [0.5, 0.5]]
    for observed, slope in ((exact, 1.0), ([[1 / len(p)] * len(p) for p in exact], 0.0)):
        products, squares = Urns(exact, [[0.7 * q for q in row] for row in observed]).slopes()
        assert squares[2] == products[2] == 0 and products.sum() / squares.sum() == pytest.approx(slope)


def test_the_same_seed_measures_the_same(
    uniform_model: PreTrainedModel,
    world_tokenizer: PreTrainedTokenizerBase,
    uniform_result: TinyResult,
) -> None:
    assert evaluate(uniform_model, world_tokenizer, seed=0) == uniform_result


def test_a_result_survives_being_written_and_read(learnt_result: TinyResult, tmp_path: Path) -> None:
    path = tmp_path / "after.json"
    path.write_text("old")
    results.save(learnt_result, path)
    assert results.load(path) == learnt_result
    assert [file.name for file in tmp_path.iterdir()] == ["after.json"]
    read = json.loads(path.read_text())
    assert list(read) == list(TinyResult._fields)
    assert read["urn"]["observed"] == learnt_result.urn.observed


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"seed": 0, "urn": {"js_divergence": ["a"]}}', "\x00"])
def test_a_file_that_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"result\.json: not a result"):
        results.load(path)
    with pytest.raises(UserError, match=r"other\.json: no such file"):
        results.load(tmp_path / "other.json")


@pytest.mark.parametrize("values", [[], [0.5], [float("nan")] * 40], ids=["empty", "short", "NaN"])
def test_numbers_that_no_evaluation_gives_are_refused(
    values: list[float], uniform_result: TinyResult, tmp_path: Path
) -> None:
    path = tmp_path / "after.json"
    results.save(uniform_result._replace(urns=uniform_result.urns._replace(share_valid=values)), path)
    with pytest.raises(UserError, match="not a result"):
        results.load(path)
    if values:
        return
    results.save(uniform_result._replace(coin=InContext(values, values)), path)
    with pytest.raises(UserError, match="not a result"):
        results.load(path)


def test_a_tokenizer_that_no_template_fits_is_refused(random_model: PreTrainedModel) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_BASE)
    with pytest.raises(UserError, match="chat needs a chat template"):
        evaluate(random_model, tokenizer, fmt="chat")
