"""An adapter fits its model: what shares weights is trained whole, and stays shared."""

from pathlib import Path

import pytest
from transformers import PreTrainedModel

from spectrum_trl.errors import UserError
from spectrum_trl.recipe.read import Recipe, read_recipe
from spectrum_trl.training.adapter import adapter_config, other_modalities

ON_A_CPU = ["--use_cpu", "true", "--bf16", "false"]


def lora(*words: str, folder: Path) -> Recipe:
    return read_recipe("recipes/lora.yaml", overrides=[*ON_A_CPU, "--output_dir", str(folder / "x"), *words])


@pytest.mark.parametrize("layer", ["embed_tokens", "lm_head"])
def test_an_adapter_on_a_tied_layer_is_refused_with_the_fix(
    tmp_path: Path, random_model: PreTrainedModel, layer: str
) -> None:
    recipe = lora("--lora_target_modules", f"q_proj,{layer}", "--lora_modules_to_save", "[]", folder=tmp_path)
    with pytest.raises(UserError, match=f"lora_target_modules: {layer} shares its weights.*train both whole"):
        adapter_config(recipe, model=random_model)


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
