"""An adapter fits its model: what shares weights is trained whole, and stays shared."""

from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from transformers import PreTrainedModel

from spectrum_trl.errors import UserError
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.recipe.read import Recipe, read_recipe
from spectrum_trl.training.checks import check_recipe
from spectrum_trl.training.model import adapter_config, other_modalities, train_rows
from tests.small_models import built

ON_A_CPU = ["--use_cpu", "true", "--bf16", "false"]


def lora(*words: str, folder: Path) -> Recipe:
    return read_recipe("recipes/lora.yaml", overrides=[*ON_A_CPU, "--output_dir", str(folder / "x"), *words])


# What it names of the tied layers, under each way to name them that peft knows.
ON_TIED = {
    "q_proj,embed_tokens": "model.embed_tokens",
    "q_proj,lm_head": "lm_head",
    "lm_head": "lm_head",
    "q_proj,model.embed_tokens": "model.embed_tokens",
    r".*\.q_proj|.*embed_tokens": "model.embed_tokens",
    "(q_proj|lm_head)": "lm_head",
}


@pytest.mark.parametrize("whole", ["[]", "embed_tokens,lm_head"])
@pytest.mark.parametrize("targets", ON_TIED)
def test_an_adapter_on_a_tied_layer_is_refused_with_the_fix(
    tmp_path: Path, random_model: PreTrainedModel, targets: str, whole: str
) -> None:
    recipe = lora("--lora_target_modules", targets, "--lora_modules_to_save", whole, folder=tmp_path)
    told = f"lora_target_modules: {ON_TIED[targets]} shares its weights.*train both whole"
    with pytest.raises(UserError, match=told):
        adapter_config(recipe, model=random_model)


@pytest.mark.parametrize("parameter", ["embed_tokens.weight", "model.embed_tokens.weight", "lm_head.weight"])
def test_an_adapter_on_a_tied_parameter_is_refused(
    tmp_path: Path, random_model: PreTrainedModel, parameter: str
) -> None:
    words = ["--lora_target_parameters", parameter, "--lora_modules_to_save", "[]"]
    with pytest.raises(UserError, match="lora_target_parameters: .* shares its weights"):
        adapter_config(lora(*words, folder=tmp_path), model=random_model)


@pytest.mark.parametrize("targets", ["embed_tokens,lm_head", ".*embed_tokens", "all-linear", "q_proj"])
def test_layers_that_share_nothing_may_have_an_adapter(
    tmp_path: Path, world_tokenizer, random_model: PreTrainedModel, targets: str
) -> None:
    recipe = lora("--lora_target_modules", targets, "--lora_modules_to_save", "[]", folder=tmp_path)
    assert adapter_config(recipe, model=built(world_tokenizer, tie_word_embeddings=False))
    if "embed" not in targets:
        assert adapter_config(recipe, model=random_model)


@pytest.mark.parametrize("whole", ["embed_tokens", "model.embed_tokens", "lm_head"])
def test_weights_decide_whether_layers_are_tied(tmp_path: Path, world_tokenizer, whole: str) -> None:
    model, recipe = built(world_tokenizer), lora("--lora_modules_to_save", whole, folder=tmp_path)
    tied = adapter_config(recipe, model=model)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    apart = adapter_config(recipe, model=model)
    assert model.config.tie_word_embeddings and tied and apart
    assert (tied.ensure_weight_tying, apart.ensure_weight_tying) == (True, False)


def test_layers_that_are_trained_whole_may_have_their_whole_names(tmp_path: Path) -> None:
    tiny = ["--model_name_or_path", TINY_BASE_NAME, "--copy_role_tokens_from", "spectrum-trl/tiny-instruct"]
    check_recipe(lora(*tiny, "--lora_modules_to_save", "model.embed_tokens,lm_head", folder=tmp_path))
    with pytest.raises(UserError, match="copy_role_tokens_from .* LoRA adapter"):
        check_recipe(lora(*tiny, "--lora_modules_to_save", "model.embed_tokens", folder=tmp_path))


def test_tied_layers_stay_tied_where_they_are_trained_whole(
    tmp_path: Path, random_model: PreTrainedModel
) -> None:
    config = adapter_config(lora(folder=tmp_path), model=random_model)
    assert config is not None and config.ensure_weight_tying
    without = adapter_config(lora("--lora_modules_to_save", "[]", folder=tmp_path), model=random_model)
    assert without is not None and not without.ensure_weight_tying and without.modules_to_save is None
    assert not other_modalities(random_model)


def test_without_peft_there_is_no_adapter(tmp_path: Path, random_model: PreTrainedModel) -> None:
    recipe = read_recipe("recipes/demo.yaml", overrides=["--output_dir", str(tmp_path / "x")])
    assert adapter_config(recipe, model=random_model) is None


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("adapted", [True, False])
def test_other_rows_than_those_of_role_tokens_get_no_gradient(
    tmp_path: Path, world_tokenizer, tied: bool, adapted: bool
) -> None:
    model: torch.nn.Module = built(world_tokenizer, tie_word_embeddings=tied)
    if adapted:
        model = get_peft_model(model, adapter_config(lora(folder=tmp_path), model=model))
    train_rows(model, rows=[7, 9])
    model(input_ids=torch.tensor([[7, 8, 10]]), labels=torch.tensor([[7, 8, 10]])).loss.backward()
    found = {
        name: set(weight.grad.abs().sum(-1).nonzero()[:, 0].tolist())
        for name, weight in model.named_parameters()
        if weight.grad is not None and ("embed_tokens" in name or "lm_head" in name)
    }
    assert len(found) == (1 if tied else 2)
    # The input holds token 7 alone of the two; the output layer scores both.
    assert sorted(found.values(), key=len) == ([{7, 9}] if tied else [{7}, {7, 9}])
    assert any(weight.grad is not None for name, weight in model.named_parameters() if "q_proj" in name)
