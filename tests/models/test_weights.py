"""A model's weights: shared layers, finite values, and the default place to evaluate them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from spectrum_trl.errors import UserError
from spectrum_trl.models.load import load_model, model_without_memory
from spectrum_trl.models.weights import check_weights, has_tied_head, named_by, shared_layers
from tests.messages import naming
from tests.small_models import built, untied_by_weights


def test_tied_layers_are_those_of_one_matrix(random_model: PreTrainedModel, world_tokenizer) -> None:
    tied = ["model.embed_tokens", "lm_head"]
    assert shared_layers(random_model) == dict.fromkeys(tied, tied) and has_tied_head(random_model)
    apart = built(world_tokenizer, tie_word_embeddings=False)
    assert not shared_layers(apart) and not has_tied_head(apart)
    equal = built(world_tokenizer, tie_word_embeddings=False)
    equal.lm_head.weight.data = equal.model.embed_tokens.weight.data.clone()
    assert not shared_layers(equal) and not has_tied_head(equal)


def test_layers_of_a_model_without_memory_share_as_its_configuration_says() -> None:
    assert has_tied_head(model_without_memory("spectrum-trl/tiny-base"))
    assert set(shared_layers(model_without_memory("spectrum-trl/tiny-base"))) == {
        "model.embed_tokens",
        "lm_head",
    }


def test_layers_inside_a_model_may_share_a_matrix(world_tokenizer) -> None:
    model = built(world_tokenizer)
    first, second = (layer.self_attn for layer in model.model.layers)
    second.q_proj.weight = first.q_proj.weight
    names = [f"model.layers.{i}.self_attn.q_proj" for i in (0, 1)]
    assert shared_layers(model)[names[1]] == names and len(shared_layers(model)) == 4


@pytest.mark.parametrize(
    ("name", "named"),
    [("lm_head", False), ("tokens", False), ("embed_tokens", True), ("model.embed_tokens", True)],
)
def test_a_layer_is_named_by_its_name_or_the_end_of_it(name: str, named: bool) -> None:
    assert named_by(["q_proj", name], "model.embed_tokens") is named


def test_a_configuration_that_ties_different_matrices_is_corrected_for_good(
    tmp_path: Path, world_tokenizer
) -> None:
    untied_by_weights(tmp_path / "base", tokenizer=world_tokenizer)
    model = load_model(str(tmp_path / "base"))
    assert not has_tied_head(model) and not model.config.tie_word_embeddings
    before = model.lm_head.weight.detach().clone()
    # As accelerate does with FSDP.
    model.tie_weights()
    assert torch.equal(model.lm_head.weight, before)
    model.save_pretrained(tmp_path / "saved")
    assert {"lm_head.weight", "model.embed_tokens.weight"} <= load_file(
        tmp_path / "saved" / "model.safetensors"
    ).keys()
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert not saved.config.tie_word_embeddings and torch.equal(saved.lm_head.weight, before)
    assert load_model("spectrum-trl/tiny-base").config.tie_word_embeddings


def test_processes_that_read_no_weights_cannot_correct_it(
    tmp_path: Path, world_tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    untied_by_weights(tmp_path / "base", tokenizer=world_tokenizer)
    monkeypatch.setattr("spectrum_trl.models.load.is_fsdp_enabled", lambda: True)
    with pytest.raises(UserError, match=naming("fsdp_config.cpu_ram_efficient_loading")):
        load_model(str(tmp_path / "base"))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_the_weight_that_is_no_number_is_named(broken: float) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    check_weights(model, name="mine")
    with torch.no_grad():
        model[1].bias[0] = broken
    with pytest.raises(UserError, match=naming("1 of 4", "'mine'", "1.bias")):
        check_weights(model, name="mine")


def test_what_a_smaller_number_type_cannot_hold_is_found_after_rounding() -> None:
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1e6)
    check_weights(model, name="mine")
    with pytest.raises(UserError, match=naming("'mine'", "weight", "infinity")):
        check_weights(model.half(), name="mine")
