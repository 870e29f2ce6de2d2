"""Faults of a recipe that show only beside its tokenizer and its model."""

import re
from collections.abc import Iterator

from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import ModelConfig

from spectrum_trl.errors import UserError, nearest

ALL_LINEAR = "all-linear"


def check_end_of_turn(eos_token: str | None, *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a recipe's ``eos_token`` is what ends a turn: outputs are trained to end with that.

    Args:
        eos_token: The recipe's, or None.
        tokenizer: With the Spectrum template, whose end-of-sequence token is the end of a turn.

    Raises:
        UserError: If it is another token.
    """
    if eos_token is not None and eos_token != tokenizer.eos_token:
        raise UserError(
            f"eos_token: outputs end with {tokenizer.eos_token!r} in this model's template, not with "
            f"{eos_token!r}, which sampling would wait for; remove eos_token"
        )


def check_lora_targets(arguments: ModelConfig, *, model: PreTrainedModel) -> None:
    """Check that the model has the modules that LoRA names.

    Args:
        arguments: TRL's model arguments.
        model: The loaded model.

    Raises:
        UserError: With every name that matches nothing.
    """
    if arguments.use_peft and (problems := list(_absent(arguments, model))):
        raise UserError(*problems)


def _absent(arguments: ModelConfig, model: PreTrainedModel) -> Iterator[str]:
    modules = [name for name, _ in model.named_modules() if name]
    parameters = [name for name, _ in model.named_parameters()]
    targets = arguments.lora_target_modules
    if targets is None and arguments.lora_target_parameters is None:
        if model.config.model_type not in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING:
            yield (
                f"lora_target_modules: peft has no default for {model.config.model_type}; name modules, for "
                "example [q_proj, v_proj], or all-linear"
            )
    elif isinstance(targets, str):
        if targets != ALL_LINEAR and (fault := _pattern_fault(targets, modules)):
            yield f"lora_target_modules: {fault}"
    for field, names, present in (
        ("lora_target_modules", targets if isinstance(targets, list) else None, modules),
        ("lora_modules_to_save", arguments.lora_modules_to_save, modules),
        ("lora_target_parameters", arguments.lora_target_parameters, parameters),
    ):
        endings = {name.rpartition(".")[2] for name in present}
        for name in names or ():
            if not any(full == name or full.endswith(f".{name}") for full in present):
                known = ", ".join(sorted(ending for ending in endings if not ending.isdigit()))
                yield f"{field}: the model has no {name!r}.{nearest(name, endings)} It has {known}."


def _pattern_fault(pattern: str, modules: list[str]) -> str | None:
    """Return what is wrong with a regular expression that peft would match against whole names."""
    try:
        found = any(re.fullmatch(pattern, name) for name in modules)
    except re.error as error:
        return f"{pattern!r} is no regular expression: {error}"
    return None if found else f"the regular expression {pattern!r} matches no module of the model"
