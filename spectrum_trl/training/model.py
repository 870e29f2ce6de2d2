"""The model that a recipe starts from."""

from rich.console import Console
from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase
from trl import get_quantization_config

from spectrum_trl.models.folder import generation_config
from spectrum_trl.models.initialise import new_model
from spectrum_trl.models.load import check_vocabulary, load_model, load_without_weights
from spectrum_trl.models.quantize import for_cpu
from spectrum_trl.models.role_tokens import copy_role_tokens
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.training.adapter import check_precision, other_modalities
from spectrum_trl.training.model_checks import check_lora_targets, check_optimizer, check_packing
from spectrum_trl.training.strategy import receives_weights


def starting_model(
    recipe: Recipe, *, tokenizer: PreTrainedTokenizerBase, family: str, out: Console
) -> PreTrainedModel:
    """Load or initialise the model, copying role tokens if the recipe names a sibling.

    Args:
        recipe: The parsed recipe.
        tokenizer: With the Spectrum template.
        family: Its template family.
        out: Where to print.

    Returns:
        The model, checked against the tokenizer and the recipe's adapter, optimizer and packing.

    Raises:
        UserError: If the model cannot be loaded or does not fit the recipe.
    """
    arguments = recipe.model
    if recipe.run.new_model:
        assert isinstance(recipe.run.new_model, dict)
        model = new_model(recipe.run.new_model, vocab_size=len(tokenizer), seed=recipe.training.seed)
    else:
        quantization = _quantization(recipe, out=out)
        load = load_without_weights if receives_weights() else load_model
        model = load(
            str(arguments.model_name_or_path),
            revision=arguments.model_revision,
            dtype=arguments.dtype,
            attn_implementation=arguments.attn_implementation,
            quantization_config=quantization,
            device_map={"": recipe.training.device} if quantization else None,
        )
        check_vocabulary(model, tokenizer)
        check_precision(recipe, model)
        for name in other_modalities(model):
            model.base_model.get_submodule(name).requires_grad_(False)
    sibling = recipe.run.copy_role_tokens_from
    if sibling and not receives_weights():
        copied = copy_role_tokens(model, tokenizer=tokenizer, family=family, sibling=sibling)
        out.print(f"role tokens: {', '.join(copied)} copied from {sibling}", markup=False)
    elif "copy_role_tokens_from" in recipe.settings:
        out.print(
            "role tokens: the model's own embeddings; for a base checkpoint, which never trained them, name "
            "its instruct sibling with --copy_role_tokens_from"
        )
    model.generation_config = generation_config(tokenizer)
    check_lora_targets(arguments, model=model)
    check_optimizer(recipe.training, model=model)
    config = model.config.get_text_config()
    check_packing(recipe.training, config=config, attention=str(config._attn_implementation))
    return model


def _quantization(recipe: Recipe, *, out: Console) -> BitsAndBytesConfig | None:
    quantization = get_quantization_config(recipe.model)
    if quantization and recipe.model.load_in_4bit and recipe.training.device.type == "cpu":
        kept = for_cpu(
            quantization, name=str(recipe.model.model_name_or_path), revision=recipe.model.model_revision
        )
        if kept:
            out.print(
                f"4-bit weights: {len(kept)} matrices are not quantized: on a CPU, bitsandbytes cannot "
                "read rows whose width is not a multiple of 64"
            )
    return quantization
