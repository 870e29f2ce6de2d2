"""The tiny tasks' figures equal what other routes to them give, and survive being written and read."""

import copy
import hashlib
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
from spectrum_trl.evaluation.tiny import MAX_NEW_TOKENS, SHOWN, evaluate
from spectrum_trl.paths import TINY_BASE
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.scoring.draw import Limits, draw
from spectrum_trl.suite.sequences.builders import description_message, iid
from spectrum_trl.tiny import scores as results
from spectrum_trl.tiny.evaluation_items import (
    OUTPUTS,
    SAMPLES,
    evaluation_items,
    probabilities,
)
from spectrum_trl.tiny.scores import CATEGORICAL, COIN, NUMBERS, URN, TinyResult
from tests.messages import naming
from tests.oracles import output_losses
from tests.small_models import FEW

KINDS = {COIN: "coin", CATEGORICAL: "die", NUMBERS: "number"}


def assert_urn(result: TinyResult, index: int, q: list[float]) -> None:
    """Check an urn's figures against its labels' probabilities."""
    p = np.array(list(probabilities(evaluation_items(0).urns[index]).values()))
    values = {name: value[0] for name, value in result.rows[URN][index].values.items()}
    assert values["coverage"] == pytest.approx(sum(q), rel=1e-3)
    assert values["js_divergence"] == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-3, abs=1e-6)
    deviations = np.array(q) / sum(q) - 1 / p.size
    assert values["slope"] == pytest.approx(deviations @ (p - 1 / p.size), rel=1e-3, abs=1e-6)
    assert result.rows[URN][index].values["slope"][1] == pytest.approx(((p - 1 / p.size) ** 2).sum())


def test_urns_agree_with_the_losses_of_whole_conversations(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase, learnt_result: TinyResult, few_items: None
) -> None:
    for index in (0, 17, -1):
        world = evaluation_items(0).urns[index]
        texts = [iid([text], description=world.description) for text in probabilities(world)]
        losses = output_losses(learnt.model, world_tokenizer, texts)
        assert_urn(learnt_result, index, np.exp(-np.concatenate(losses)).tolist())


def test_a_uniform_model_has_the_losses_and_divergences_of_its_token_counts(
    world_tokenizer: PreTrainedTokenizerBase, uniform_result: TinyResult, few_items: None
) -> None:
    def tokens(text: str) -> int:
        return len(world_tokenizer(text)["input_ids"]) + 1

    items, per_token = evaluation_items(0), math.log(len(world_tokenizer))
    for task, kind in KINDS.items():
        drawn = getattr(items, kind)
        losses = np.array([[tokens(text) * per_token for text in row] for row in drawn.outputs])
        assert losses.shape == (FEW["SEQUENCES"], OUTPUTS)
        found = np.array([row.regrets for row in uniform_result.rows[task]])
        np.testing.assert_allclose(found, losses - drawn.optimal, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(uniform_result.regret(task, slice(8, None)), found[:, 8:].mean(axis=1))
        for name, part in (("loss", losses[:, 1:]), ("loss_late", losses[:, 8:])):
            np.testing.assert_allclose(uniform_result.values(task, name), part.sum(axis=1), rtol=1e-5)
            assert uniform_result.mean(task, name) == pytest.approx(part.mean(), rel=1e-5)
    for index, world in enumerate(items.urns):
        q = [math.exp(-tokens(text) * per_token) for text in probabilities(world)]
        assert_urn(uniform_result, index, q)


def test_samples_are_counted_as_drawn(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase, learnt_result: TinyResult, few_items: None
) -> None:
    items, prompts = evaluation_items(0), Prompts(world_tokenizer, fmt="spectrum")
    assert learnt_result.mean(results.URNS, "share_valid") > 0.3, (
        "a model that never answers right tests little"
    )
    for task, worlds in ((results.URNS, items.full_urns), (results.RANGES, items.ranges)):
        assert len(learnt_result.rows[task]) == len(worlds) == FEW["PROMPTS"]
        for index in (0, 1, FEW["PROMPTS"] - 1):
            p = np.array(list(probabilities(worlds[index]).values()))
            context = prompts.prompt([description_message(worlds[index].description)])
            digest = int.from_bytes(hashlib.sha256(context.encode()).digest()[:8], "big")
            drawn = draw(
                learnt.model,
                world_tokenizer(context, add_special_tokens=False)["input_ids"],
                seeds=[(0, digest, index, number) for number in range(SAMPLES)],
                limits=Limits(MAX_NEW_TOKENS, ends=(world_tokenizer.eos_token_id,)),
            )
            texts = [world_tokenizer.decode(ids) for ids in drawn]
            texts = [text.removesuffix("<|im_end|>").strip() for text in texts if text.endswith("<|im_end|>")]
            valid = [text for text in texts if text in probabilities(worlds[index])]
            row = learnt_result.rows[task][index]
            found = {name: value[0] for name, value in row.values.items()}
            assert found["share_valid"] == len(valid) / SAMPLES
            assert found["yield_count"] == len(set(valid))
            assert found["share_unique"] == (len(set(valid)) / len(valid) if valid else 0)
            assert found["exact_yield"] == pytest.approx((1 - (1 - p) ** SAMPLES).sum())
            expected = (1 - (1 - p) ** len(valid)).sum() / max(1, len(valid))
            assert found["exact_unique"] == pytest.approx(expected)
            assert len(row.first) == SHOWN and row.prompt == worlds[index].description


@pytest.mark.parametrize("fmt", ["colon", "chat_simple"])
@pytest.mark.slow
def test_other_formats_score_the_same_outputs_after_their_own_prompts(
    fmt: Any, learnt: Any, world_tokenizer: PreTrainedTokenizerBase, few_items: None
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
    observed = []
    for text in probabilities(world):
        total = 0.0
        for end in ends:
            whole = context + prompts.answer(text).removesuffix(prompts.end) + end
            ids = torch.tensor([tokenizer(whole, add_special_tokens=False)["input_ids"]])
            assert ids[0, : len(head)].tolist() == head
            with torch.no_grad():
                logs = model(ids).logits[0].log_softmax(-1)
            places = range(len(head), ids.shape[1])
            total += math.exp(sum(float(logs[place - 1, ids[0, place]]) for place in places))
        observed.append(total)
    assert_urn(found, 3, observed)
    assert found.fmt == fmt


def test_the_same_seed_measures_the_same(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase, learnt_result: TinyResult, few_items: None
) -> None:
    evaluation_items.cache_clear()
    assert evaluate(learnt.model, world_tokenizer, seed=0) == learnt_result
    assert evaluate(learnt.model, world_tokenizer, seed=1) != learnt_result


def test_a_result_survives_being_written_and_read(learnt_result: TinyResult, tmp_path: Path) -> None:
    path = tmp_path / "after.json"
    path.write_text("old")
    results.save(learnt_result, path)
    assert results.load(path) == learnt_result
    assert [file.name for file in tmp_path.iterdir()] == ["after.json"]
    read = json.loads(path.read_text())
    assert list(read) == list(TinyResult.model_fields)
    assert read["rows"][COIN][0]["regrets"] == learnt_result.rows[COIN][0].regrets


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"seed": 0, "urn": {"js_divergence": ["a"]}}', "\x00"])
def test_a_file_that_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(UserError, match=naming("result.json", "not a result")):
        results.load(path)
    with pytest.raises(UserError, match=naming("other.json", "no such file")):
        results.load(tmp_path / "other.json")


def test_a_tokenizer_that_no_template_fits_is_refused(random_model: PreTrainedModel) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_BASE)
    with pytest.raises(UserError, match=naming("format", "chat", "format=colon")):
        evaluate(random_model, tokenizer, fmt="chat")
