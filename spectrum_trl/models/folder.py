"""What the folder of a model has beside the weights: generation settings, processor, number type."""

import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from spectrum_trl.models.load import model_path

# What makes a processor of a tokenizer, in a model that sees more than text.
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
    """Name a tokenizer's special tokens in a model's configuration, where transformers looks for them."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config.get_text_config(), name, getattr(tokenizer, name))


def copy_processor(name: str, folder: Path, *, revision: str, config: PreTrainedConfig) -> None:
    """Copy a base model's processor files beside a tokenizer, where the model sees more than text.

    Args:
        name: Folder or Hub id of the base model.
        folder: Where the tokenizer was saved.
        revision: Of a Hub repository.
        config: The base model's.
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
    """Say in a configuration, and in those inside it, which number type the weights are saved with."""
    config.dtype = dtype
    for part in config.sub_configs:
        set_dtype(getattr(config, part), dtype)
