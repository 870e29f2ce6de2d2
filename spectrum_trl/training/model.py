"""The model that a recipe starts from, and its adapter: tied like the model, float32, on text layers only."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from rich.console import Console
from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase
from trl import get_peft_config, get_quantization_config

from spectrum_trl.errors import refuse
from spectrum_trl.models.folder import generation_config
from spectrum_trl.models.initialise import copy_role_tokens, initialise_role_tokens, new_model
from spectrum_trl.models.load import (
    check_vocabulary,
    for_cpu,
    load_model,
    load_without_weights,
)
from spectrum_trl.models.weights import named_by, shared_layers, token_matrices
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.training.checks import check_lora_targets, check_optimizer, check_packing
from spectrum_trl.training.strategy import receives_weights


def starting_model(
    recipe: Recipe, *, tokenizer: PreTrainedTokenizerBase, family: str, out: Console
) -> PreTrainedModel:
    """Load or initialise the model, and set its role tokens as the recipe says.

    The tokenizer has the Spectrum template of the family. The model is checked against it, and against the
    recipe's adapter, optimizer and packing.

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
        for name in other_modalities(model):
            model.base_model.get_submodule(name).requires_grad_(False)
    if not receives_weights():
        _set_role_tokens(recipe, model=model, tokenizer=tokenizer, family=family, out=out)
    model.generation_config = generation_config(tokenizer)
    check_lora_targets(arguments, model=model)
    check_optimizer(recipe.training, model=model)
    config = model.config.get_text_config()
    check_packing(recipe.training, config=config, attention=str(config._attn_implementation))
    return model


def _set_role_tokens(
    recipe: Recipe, *, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, family: str, out: Console
) -> None:
    if sibling := recipe.run.copy_role_tokens_from:
        copied = copy_role_tokens(model, tokenizer=tokenizer, family=family, sibling=sibling)
        out.print(f"role tokens: {', '.join(copied)} copied from {sibling}", markup=False)
    elif recipe.run.initialise_role_tokens == "line_breaks":
        tokens = initialise_role_tokens(model, tokenizer=tokenizer, family=family)
        out.print(f"role tokens: {', '.join(tokens)} start as line breaks", markup=False)
    elif "copy_role_tokens_from" in recipe.settings:
        out.print(
            "role tokens: the model's own embeddings; for a base checkpoint, which never trained them, name "
            "its instruct sibling with --copy_role_tokens_from, or set --initialise_role_tokens line_breaks"
        )


def _quantization(recipe: Recipe, *, out: Console) -> BitsAndBytesConfig | None:
    quantization = get_quantization_config(recipe.model)
    if quantization and recipe.model.load_in_4bit and recipe.training.device.type == "cpu":
        kept = for_cpu(
            quantization, name=str(recipe.model.model_name_or_path), revision=recipe.model.model_revision
        )
        if kept:
            out.print(
                f"4-bit weights: all but {len(kept)}, because on a CPU bitsandbytes cannot read "
                "rows whose width is not a multiple of 64"
            )
    return quantization


def adapter_config(recipe: Recipe, *, model: PreTrainedModel) -> LoraConfig | None:
    """Return a recipe's adapter configuration, adjusted to its model, or None for full fine-tuning.

    Raises:
        UserError: If the adapter would be on a layer that shares its matrix.
    """
    config = get_peft_config(recipe.model)
    if config is None:
        return None
    assert isinstance(config, LoraConfig)
    config.revision = recipe.model.model_revision
    if others := other_modalities(model):
        config.exclude_modules = rf"(.*\.)?({'|'.join(map(re.escape, others))})\..*"
    shared = shared_layers(model)
    refuse(f"{recipe.path}: {problem}" for problem in _adapted_apart(config, shared))
    # A copy, because peft edits the list, which is also the recipe's.
    whole = list(config.modules_to_save or [])
    config.ensure_weight_tying = any(named_by(whole, layer) for layer in shared)
    config.modules_to_save = whole or None
    return config


def _adapted_apart(config: LoraConfig, shared: dict[str, list[str]]) -> Iterator[str]:
    """Yield a message for each field that puts an adapter on a layer that shares its matrix.

    Each layer gets a separate adapter in training, but peft 0.21.2 merges all of them into the shared matrix.
    """
    # peft trains some tied layers whole under another name, and a layer listed as both is a separate error;
    # its default targets include no such layer.
    targets = replace(config, modules_to_save=None, target_modules=config.target_modules or [])
    parameters = list(config.target_parameters or [])
    adapted = {
        "lora_target_modules": [layer for layer in shared if check_target_module_exists(targets, layer)],
        "lora_target_parameters": [layer for layer in shared if named_by(parameters, f"{layer}.weight")],
    }
    for field, layers in adapted.items():
        if layers:
            users = ", ".join(layer.rpartition(".")[2] for layer in shared[layers[0]])
            yield (
                f"{field}: {', '.join(layers)} shares its weights with another layer, so its adapter cannot "
                f"be merged; leave it out, or train both whole with `lora_modules_to_save: [{users}]`"
            )


def train_in_single_precision(model: torch.nn.Module) -> None:
    """Keep trained weights, and thus the optimizer states, in float32.

    TRL casts an adapter on quantized weights to bfloat16, where updates with a small learning rate are lost
    to rounding (https://github.com/huggingface/trl/issues/7268 is about one such weight).
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def train_rows(model: torch.nn.Module, *, rows: list[int]) -> None:
    """Let no other rows of the embedding and output layer learn; ``rows`` are token ids.

    peft's ``trainable_token_indices`` would train and save those rows alone, but TRL 1.16 rejects any adapter
    on the output layer, to which a tied embedding belongs, since its loss reads the layer's own weights.
    """
    base: Any = getattr(model, "get_base_model", lambda: model)()
    for weight in set(token_matrices(base)):
        learns = torch.zeros(len(weight), 1, dtype=torch.bool, device=weight.device)
        learns[rows] = True
        weight.register_hook(lambda gradient, learns=learns: gradient * learns)


def other_modalities(model: PreTrainedModel) -> list[str]:
    """Return the parts of a model that process no text, for example Gemma 3's vision tower."""
    decoder = model.get_decoder()
    if decoder is model.base_model:
        return []
    return [name for name, module in model.base_model.named_children() if module is not decoder]
