"""Tiny models in published shapes, with random weights that end every turn at once."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
    set_seed,
)

from spectrum_trl.prompts import templates

TEXT: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 4096,
}
# Rows of the embedding as published. Gemma 3's tokenizer has a token more than its text-only model has rows.
ROWS = {"qwen3": 151_936, "llama3_1": 128_256, "gemma3": 262_144}
END_OF_TEXT = {"qwen3": "<|endoftext|>", "llama3_1": "<|end_of_text|>", "gemma3": "<eos>"}
TYPES = {"qwen3": "qwen3", "llama3_1": "llama", "gemma3": "gemma3_text"}


def publish(
    folder: Path, *, family: str, tokenizer_folder: Path, tied: bool, seed: int = 0, **changes: Any
) -> Path:
    """Save a base model with a real tokenizer, as its makers would: it generates until a document ends."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, eos_token=END_OF_TEXT[family])
    tokenizer.save_pretrained(folder)
    end = tokenizer.eos_token_id
    settings = {**TEXT, "vocab_size": ROWS[family], "tie_word_embeddings": tied, **changes}
    model = _random(AutoConfig.for_model(TYPES[family], **settings), tokenizer, family, seed=seed)
    model.generation_config = GenerationConfig(eos_token_id=end)
    model.save_pretrained(folder)
    return folder


def publish_with_vision(folder: Path, *, tokenizer_folder: Path) -> Path:
    """Save a Gemma 3 with its vision part and the files of its processor."""
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = AutoConfig.for_model(
        "gemma3",
        text_config={**TEXT, "vocab_size": 262_208},
        vision_config={**vision, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
    )
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.save_pretrained(folder)
    model = _random(config, tokenizer, "gemma3", seed=0)
    model.generation_config = GenerationConfig(eos_token_id=1)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "Gemma3ImageProcessor"}')
    (folder / "processor_config.json").write_text('{"processor_class": "Gemma3Processor"}')
    return folder


@torch.no_grad()
def _random(config: Any, installed: PreTrainedTokenizerBase, family: str, *, seed: int) -> Any:
    set_seed(seed)
    # The first channel of every hidden state says that the turn ends here.
    model = AutoModelForCausalLM.from_config(config)
    templates.install(installed, family=family)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        layer.weight[:, 0] = 1.0
        layer.weight[installed.eos_token_id, 0] = 3.0
    for block in model.get_decoder().layers:
        block.self_attn.o_proj.weight[0] = block.mlp.down_proj.weight[0] = 0.0
    return model
