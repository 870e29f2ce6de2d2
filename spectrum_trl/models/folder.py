"""What a model folder holds: weights rounded to a number type, generation settings, and processor."""

import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from spectrum_trl.models.load import model_path

# Files that a multimodal model's processor needs besides the tokenizer.
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")


def generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Return settings that sample from the model's own distribution and stop at the end of the turn."""
    return GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def set_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Copy a tokenizer's special token ids into a model's configuration, where transformers reads them."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config.get_text_config(), name, getattr(tokenizer, name))


def copy_processor(name: str, folder: Path, *, revision: str, config: PreTrainedConfig) -> None:
    """Copy a multimodal base model's processor files to a folder; do nothing for a text-only model.

    Args:
        name: Folder or Hub id of the base model.
        folder: Where the tokenizer was saved.
        revision: Revision of the Hub repository.
        config: The base model's configuration.
    """
    if config.get_text_config() is config:
        return
    for file in PROCESSOR_FILES:
        found = cached_file(
            model_path(name), file, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if found:
            shutil.copyfile(found, folder / file)


def set_dtype(config: PreTrainedConfig, dtype: torch.dtype) -> None:
    """Record the number type of the saved weights in a configuration and all its sub-configurations."""
    config.dtype = dtype
    for part in config.sub_configs:
        set_dtype(getattr(config, part), dtype)


def rounded(weight: torch.Tensor, dtype: torch.dtype, *, noise: torch.Generator) -> torch.Tensor:
    """Convert a weight to another number type, rounding stochastically to bfloat16.

    Weights of a bfloat16 checkpoint start on its grid, and a small learning rate moves most of them by less
    than half a step: rounding to nearest would undo these updates. Stochastic rounding, with probabilities
    given by the distances, preserves them on average and leaves unchanged weights exact.

    Args:
        weight: A tensor on the CPU.
        dtype: A floating-point type.
        noise: Source of randomness.
    """
    if dtype != torch.bfloat16 or weight.dtype != torch.float32:
        return weight.to(dtype)
    bits = weight.contiguous().view(torch.int32)
    lower = torch.randint(2**16, bits.shape, dtype=torch.int32, generator=noise)
    found = ((bits + lower) & -(2**16)).view(torch.float32)
    # The payload of a NaN can be in the lower bits, without which it would be an infinity.
    return found.where(weight.isfinite(), weight).to(dtype)
