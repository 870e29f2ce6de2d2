"""Files of a model folder other than its weights: generation settings, processor, number type."""

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
