"""The measurements equal what other routes to them give, and survive being written and read."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import new_tokenizer
from spectrum_trl.scoring.sample import sample
from spectrum_trl.scoring.score import output_losses
from spectrum_trl.suite.builders import description_message, iid
from spectrum_trl.tiny import measure
from spectrum_trl.tiny.evaluation_items import (
    OUTPUTS,
    SAMPLES,
    SEQUENCES,
    URNS,
    evaluation_items,
    probabilities,
)


def test_urns_agree_with_the_losses_of_whole_conversations(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase, learnt_result: measure.TinyResult
) -> None:
    for index in (0, 57, URNS - 1):
        world = evaluation_items(0).urns[index]
        exact = probabilities(world)
        losses = output_losses(
            learnt.model, world_tokenizer, [iid([text], description=world.description) for text in exact]
        )
        q = np.exp(-np.concatenate(losses))
        assert learnt_result.urn.coverage[index] == pytest.approx(q.sum(), rel=1e-3)
        js = jensenshannon(list(exact.values()), q) ** 2
        assert learnt_result.urn.js_divergence[index] == pytest.approx(js, rel=1e-3, abs=1e-6)


def test_a_uniform_model_has_the_losses_and_divergences_of_its_token_counts(
    world_tokenizer: PreTrainedTokenizerBase, uniform_result: measure.TinyResult
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
    for world, js, coverage in zip(
        items.urns, uniform_result.urn.js_divergence, uniform_result.urn.coverage, strict=True
    ):
        exact = probabilities(world)
        q = np.array([math.exp(-tokens(text) * per_token) for text in exact])
        assert coverage == pytest.approx(q.sum(), rel=1e-4)
        assert js == pytest.approx(jensenshannon(list(exact.values()), q) ** 2, abs=1e-5)


def test_excess_is_measured_from_the_optimal_losses(uniform_result: measure.TinyResult) -> None:
    coin, optimal = uniform_result.coin, evaluation_items(0).coin.optimal
    assert np.array(coin.optimal).tolist() == optimal.tolist()
    late = (np.array(coin.losses) - optimal)[:, 8:].mean(axis=1)
    np.testing.assert_allclose(coin.excess(slice(8, None)), late)


def test_samples_are_counted_as_drawn(
    learnt: Any, world_tokenizer: PreTrainedTokenizerBase, learnt_result: measure.TinyResult
) -> None:
    found = learnt_result.sampling
    assert found.n == SAMPLES and len(found.share_valid) == len(evaluation_items(0).prompts)
    assert np.mean(found.share_valid) > 0.3, "a model that never answers right tests little"
    for index, world in enumerate(evaluation_items(0).prompts):
        seed = int(np.random.SeedSequence([0, index]).generate_state(1)[0])
        drawn = sample(
            learnt.model,
            world_tokenizer,
            [description_message(world.description)],
            n=SAMPLES,
            seed=seed,
            max_new_tokens=measure.MAX_NEW_TOKENS,
        )
        valid = [one.text for one in drawn if one.ended and one.text in probabilities(world)]
        assert found.share_valid[index] == len(valid) / SAMPLES
        assert found.yield_count[index] == len(set(valid))
        assert found.share_unique[index] == (len(set(valid)) / len(valid) if valid else 0)
        p = np.array(list(probabilities(world).values()))
        assert found.exact_yield[index] == pytest.approx((1 - (1 - p) ** SAMPLES).sum())


def test_the_same_seed_measures_the_same(
    uniform_model: PreTrainedModel,
    world_tokenizer: PreTrainedTokenizerBase,
    uniform_result: measure.TinyResult,
) -> None:
    assert measure.evaluate(uniform_model, world_tokenizer, seed=0) == uniform_result


def test_a_result_survives_being_written_and_read(learnt_result: measure.TinyResult, tmp_path: Path) -> None:
    path = tmp_path / "after.json"
    path.write_text("old")
    measure.save(learnt_result, path)
    assert measure.load(path) == learnt_result
    assert [file.name for file in tmp_path.iterdir()] == ["after.json"]
    read = json.loads(path.read_text())
    assert list(read) == ["seed", "urn", "coin", "die", "number", "sampling"]
    assert read["urn"]["js_divergence"] == learnt_result.urn.js_divergence


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"seed": 0, "urn": {"js_divergence": ["a"]}}', "\x00"])
def test_a_file_that_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"result\.json: not a result"):
        measure.load(path)
    with pytest.raises(UserError, match=r"other\.json: no such file"):
        measure.load(tmp_path / "other.json")


@pytest.mark.parametrize("values", [[], [0.5], [float("nan")] * 40], ids=["empty", "short", "NaN"])
def test_numbers_that_no_evaluation_gives_are_refused(
    values: list[float], uniform_result: measure.TinyResult, tmp_path: Path
) -> None:
    path = tmp_path / "after.json"
    measure.save(uniform_result._replace(urn=uniform_result.urn._replace(coverage=values)), path)
    with pytest.raises(UserError, match="not a result"):
        measure.load(path)
    if values:
        return
    measure.save(uniform_result._replace(coin=measure.InContext(values, values)), path)
    with pytest.raises(UserError, match="not a result"):
        measure.load(path)


def test_a_tokenizer_without_our_template_is_refused(random_model: PreTrainedModel) -> None:
    with pytest.raises(UserError, match="templates.install"):
        measure.evaluate(random_model, new_tokenizer(["red"], vocab_size=300))
