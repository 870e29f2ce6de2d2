"""The adapter of a LoRA or QLoRA run: tied like the model, in float32, on the text layers only."""

import re
from collections.abc import Iterator
from dataclasses import replace

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from transformers import PreTrainedModel
from trl import get_peft_config

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.models.load import model_without_memory
from spectrum_trl.models.sharing import named_by, shared_layers
from spectrum_trl.recipe.read import Recipe


def adapter_config(recipe: Recipe, *, model: PreTrainedModel) -> LoraConfig | None:
    """Return a recipe's adapter configuration, adjusted to its model, or None for full fine-tuning.

    Args:
        recipe: The parsed recipe.
        model: The model to adapt.

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


def check_sharded_adapter(recipe: Recipe) -> None:
    """Reject settings under which a sharded adapter is not saved, or a library fails.

    Raises:
        UserError: With every such setting.
    """
    fsdp, problems = recipe.training.fsdp_config, []
    assert isinstance(fsdp, dict)
    if fsdp.get("activation_checkpointing"):
        # peft 0.21.2 looks for the adapter under the names of the wrapped layers, and saves nothing.
        problems.append(
            f"{recipe.path}: with fsdp_config.activation_checkpointing no LoRA matrix would be saved; set it "
            "to false, and `activation_checkpointing: true` at the top level"
        )
    whole = list(recipe.model.lora_modules_to_save or [])
    name, revision = recipe.model.model_name_or_path, recipe.model.model_revision
    # accelerate 1.15 ties the weights again after emptying them, which fails on peft's wrapped layers.
    if whole and fsdp.get("cpu_ram_efficient_loading") and name and not recipe.model.load_in_4bit:
        # The configuration decides: one rank reads the weights, and the others tie them.
        if any(
            named_by(whole, layer) for layer in shared_layers(model_without_memory(name, revision=revision))
        ):
            problems.append(
                f"{recipe.path}: fsdp_config.cpu_ram_efficient_loading cannot load {name} with a LoRA "
                "adapter that trains its tied embedding; set cpu_ram_efficient_loading to false"
            )
    refuse(problems)


def check_precision(recipe: Recipe, model: PreTrainedModel) -> None:
    """Reject 16-bit frozen weights without mixed precision: trained weights are 32-bit."""
    if not (recipe.model.use_peft and recipe.model.lora_modules_to_save):
        return
    if recipe.training.bf16 or recipe.training.fp16:
        return
    # Quantized layers have other classes and cast their inputs.
    linear = [layer for layer in model.get_decoder().modules() if type(layer) is torch.nn.Linear]
    if any(layer.weight.dtype != torch.float32 for layer in linear):
        raise UserError(
            f"{recipe.path}: dtype {recipe.model.dtype} needs mixed precision, because embeddings are "
            "trained in float32; add `bf16: true`, or set `dtype: float32`"
        )


def other_modalities(model: PreTrainedModel) -> list[str]:
    """Return the parts of a model that process no text, for example Gemma 3's vision tower."""
    decoder = model.get_decoder()
    if decoder is model.base_model:
        return []
    return [name for name, module in model.base_model.named_children() if module is not decoder]
