"""The model that a recipe starts from."""

from accelerate import PartialState
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import get_quantization_config

from spectrum_trl.models.initialise import new_model
from spectrum_trl.models.load import load_model
from spectrum_trl.models.role_tokens import copy_role_tokens
from spectrum_trl.training.model_checks import check_lora_targets, check_optimizer
from spectrum_trl.training.packing import check_packing
from spectrum_trl.training.recipe import Recipe
from spectrum_trl.training.saving import generation_config


def starting_model(
    recipe: Recipe, *, tokenizer: PreTrainedTokenizerBase, family: str, out: Console
) -> PreTrainedModel:
    """Load or initialise the model, with trained role tokens where the recipe names a donor."""
    arguments = recipe.model
    if recipe.run.new_model:
        assert isinstance(recipe.run.new_model, dict)
        model = new_model(recipe.run.new_model, vocab_size=len(tokenizer), seed=recipe.training.seed)
    else:
        quantization = get_quantization_config(arguments)
        model = load_model(
            str(arguments.model_name_or_path),
            revision=arguments.model_revision,
            dtype=arguments.dtype,
            attn_implementation=arguments.attn_implementation,
            quantization_config=quantization,
            device_map={"": PartialState().local_process_index} if quantization else None,
        )
    if donor := recipe.run.copy_role_tokens_from:
        copied = copy_role_tokens(model, tokenizer=tokenizer, family=family, sibling=donor)
        out.print(f"role tokens: {', '.join(copied)} copied from {donor}", markup=False)
    elif "copy_role_tokens_from" in recipe.settings:
        out.print(
            "role tokens: the model's own embeddings; for a base checkpoint, which never trained them, name "
            "its instruct sibling by --copy_role_tokens_from"
        )
    model.generation_config = generation_config(tokenizer)
    check_lora_targets(arguments, model=model)
    check_optimizer(recipe.training, model=model)
    config = model.config.get_text_config()
    check_packing(recipe.training, config=config, attention=str(config._attn_implementation))
    return model
