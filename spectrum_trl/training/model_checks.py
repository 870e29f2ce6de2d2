"""Checks of a recipe that need its model."""

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME as ADAPTER_WEIGHTS
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from safetensors import safe_open
from transformers import PreTrainedModel, Trainer
from transformers.training_args import OptimizerNames
from transformers.utils import SAFE_WEIGHTS_NAME
from trl import ModelConfig, SFTConfig

from spectrum_trl.errors import UserError, nearest

ALL_LINEAR = "all-linear"


def check_lora_targets(arguments: ModelConfig, *, model: PreTrainedModel) -> None:
    """Check that the model has the modules named for LoRA.

    Args:
        arguments: TRL's model arguments.
        model: The loaded model.

    Raises:
        UserError: With every name that matches no module.
    """
    if arguments.use_peft and (problems := list(_absent(arguments, model))):
        raise UserError(*problems)


def check_optimizer(training: SFTConfig, *, model: PreTrainedModel) -> None:
    """Try to create the optimizer, since transformers creates it only when training begins.

    Args:
        training: TRL's arguments.
        model: The loaded model.

    Raises:
        UserError: If the optimizer needs a package that is not installed, or other arguments.
    """
    try:
        optimizer, settings = Trainer.get_optimizer_cls_and_kwargs(training, model)
        # Optimizers that select their own parameters cannot be tried on a single one.
        if not {"params", "model", "optimizer_dict"} & settings.keys():
            optimizer([torch.nn.Parameter(torch.zeros(1))], **settings)
    # Each optimizer's package has its own errors.
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [repr(error)]
        name = OptimizerNames(training.optim).value
        raise UserError(f"optim: {name} cannot be created with its optim_args: {reason[0]}") from error


def check_checkpoint(checkpoint: Path | None, *, model: object) -> None:
    """Check that a checkpoint contains the weights that the model trains: Trainer would only warn.

    Args:
        checkpoint: The checkpoint to resume from, or None.
        model: The model to train, with its adapter.

    Raises:
        UserError: If weights are missing, with the first missing name.
    """
    assert isinstance(model, torch.nn.Module)
    adapted = isinstance(model, PeftModel)
    file = (checkpoint or Path()) / (ADAPTER_WEIGHTS if adapted else SAFE_WEIGHTS_NAME)
    # Sharded weights have an index file instead, and FSDP has its own format.
    if checkpoint is None or not file.is_file():
        return
    trained = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
    needed = get_peft_model_state_dict(model) if adapted else trained
    with safe_open(str(file), framework="numpy") as tensors:
        missing = sorted(set(needed) - set(tensors.keys()))
    if missing:
        raise UserError(
            f"resume_from_checkpoint: {file} does not belong to this model: it lacks {len(missing)} of its "
            f"weights, for example {missing[0]}; name another checkpoint, or start a new run"
        )


def _absent(arguments: ModelConfig, model: PreTrainedModel) -> Iterator[str]:
    modules = [
        name for name, module in model.named_modules() if name and any(True for _ in module.parameters())
    ]
    # Layers that peft can adapt: projections and embeddings, not norms or blocks.
    layers = [
        name
        for name, module in model.named_modules()
        if getattr(getattr(module, "weight", None), "ndim", 0) > 1
    ]
    parameters = [name for name, _ in model.named_parameters()]
    targets = arguments.lora_target_modules
    if targets is None and arguments.lora_target_parameters is None:
        if model.config.model_type not in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING:
            yield (
                f"lora_target_modules: peft has no default for {model.config.model_type}; name the modules, "
                "for example [q_proj, v_proj], or use all-linear"
            )
    elif isinstance(targets, str):
        if targets != ALL_LINEAR and (problem := _pattern_problem(targets, layers)):
            yield f"lora_target_modules: {problem}"
    for field, names, present in (
        ("lora_target_modules", targets if isinstance(targets, list) else None, layers),
        ("lora_modules_to_save", arguments.lora_modules_to_save, modules),
        ("lora_target_parameters", arguments.lora_target_parameters, parameters),
    ):
        endings = {name.rpartition(".")[2] for name in present}
        for name in names or ():
            if not any(full == name or full.endswith(f".{name}") for full in present):
                known = ", ".join(sorted(ending for ending in endings if not ending.isdigit()))
                yield f"{field}: the model has no {name!r}.{nearest(name, endings)} It has {known}."


def _pattern_problem(pattern: str, modules: list[str]) -> str | None:
    """Return what is wrong with a regular expression that peft will match against full module names."""
    try:
        found = any(re.fullmatch(pattern, name) for name in modules)
    except re.error as error:
        return f"{pattern!r} is not a regular expression: {error}"
    return None if found else f"the regular expression {pattern!r} matches no module of the model"
