"""Load a model and a tokenizer, with one clear message where that fails."""

from pathlib import Path
from typing import Any, cast

import torch
from peft.utils import CONFIG_NAME as ADAPTER_CONFIG
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from spectrum_trl.errors import UserError
from spectrum_trl.paths import TINY_BASE, TINY_BASE_NAME


def model_path(name: str) -> str:
    """Return where to load a model from: the tiny base's folder, or the name as it is."""
    return str(TINY_BASE) if name == TINY_BASE_NAME else name


def load_config(name: str, *, revision: str = "main") -> PreTrainedConfig:
    """Load a model's configuration, running no code of its repository.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.

    Returns:
        The configuration.

    Raises:
        UserError: If there is none.
    """
    try:
        return AutoConfig.from_pretrained(model_path(name), revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(_not_found("configuration", name, error)) from error


def checkpoint_dtype(name: str, *, revision: str = "main") -> torch.dtype | None:
    """Return the number type that a checkpoint says its weights have, or None where it says nothing."""
    config = load_config(name, revision=revision)
    return cast(torch.dtype | None, config.dtype or config.get_text_config().dtype)


def load_tokenizer(name: str, *, revision: str = "main") -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.

    Returns:
        The tokenizer as published, without our template.

    Raises:
        UserError: If there is none.
    """
    try:
        return AutoTokenizer.from_pretrained(model_path(name), revision=revision)
    except (OSError, ValueError) as error:
        raise UserError(_not_found("tokenizer", name, error)) from error


def load_model(name: str, *, revision: str = "main", **settings: Any) -> PreTrainedModel:
    """Load a causal language model from safetensors, running no code of its repository.

    The folder of an adapter loads as its base model with the adapter on it, and with the adapter's generation
    settings: transformers alone takes the base's, which do not stop at the end of a turn.

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.
        **settings: Further arguments of ``from_pretrained``, for example ``dtype``.

    Returns:
        The model.

    Raises:
        UserError: If there is none.
    """
    try:
        if Path(name, ADAPTER_CONFIG).is_file():
            settings.setdefault("generation_config", GenerationConfig.from_pretrained(name))
        return AutoModelForCausalLM.from_pretrained(
            model_path(name), revision=revision, use_safetensors=True, trust_remote_code=False, **settings
        )
    except ImportError as error:
        raise UserError(f"cannot load the model of {name!r}: {' '.join(str(error).split())}") from error
    except (OSError, ValueError) as error:
        raise UserError(_not_found("model", name, error)) from error


def load_without_weights(name: str, *, revision: str = "main", **settings: Any) -> PreTrainedModel:
    """Load a model whose weights are allocated but never read or written: they come from another process.

    ``from_pretrained`` reads the weights in every process, although accelerate replaces all but those of the
    first (https://github.com/huggingface/transformers/issues/43749).

    Args:
        name: A folder, a Hub id, or the tiny base's name.
        revision: Of a Hub repository.
        **settings: Further arguments of ``from_pretrained``, for example ``dtype``.
    """
    config = load_config(name, revision=revision)
    with torch.device("meta"):
        model_class = type(AutoModelForCausalLM.from_config(config))
    # Every weight is missing, as it should be: no report of it.
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model = model_class.from_pretrained(None, config=config, state_dict={}, **settings)
    finally:
        logging.set_verbosity(level)
    for module in model.modules():
        for part, weight in list(module.named_parameters(recurse=False)):
            # accelerate tells weights apart by address, so each needs one; what nobody writes to takes
            # no memory.
            empty = torch.empty_like(weight, device="cpu")
            setattr(module, part, torch.nn.Parameter(empty, requires_grad=weight.requires_grad))
    model.tie_weights()
    return model


def _not_found(what: str, name: str, error: Exception) -> str:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    is_path = name.startswith((".", "/", "~")) or Path(name).exists()
    hint = (
        "Check the folder."
        if is_path
        else f"Check the Hub id, log in if it is gated, or use {TINY_BASE_NAME} without a network."
    )
    return f"cannot load the {what} of {name!r}: {first_line} {hint}"
