"""Packing is on only where packed sequences do not see each other."""

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from trl import SFTConfig

from spectrum_trl.errors import UserError
from spectrum_trl.training.packing import check_packing

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def arguments(**settings: object) -> SFTConfig:
    return SFTConfig(use_cpu=True, packing=True, **settings)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["qwen3", "llama", "gemma3_text"])
def test_packed_sequences_get_the_logits_they_get_alone(family: str, attention: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(family, **SIZES), attn_implementation=attention
    ).train()
    first, second = torch.randint(3, 50, (1, 7)), torch.randint(3, 50, (1, 12))
    positions = torch.cat([torch.arange(7), torch.arange(12)])[None]
    # As TRL trains: without a cache and without an attention mask.
    packed = model(input_ids=torch.cat([first, second], 1), position_ids=positions, use_cache=False).logits
    alone = model(input_ids=second, use_cache=False).logits
    torch.testing.assert_close(packed[:, 7:], alone, atol=1e-5, rtol=1e-4)
    check_packing(arguments(), config=model.config, attention=attention)


@pytest.mark.parametrize(
    ("settings", "attention", "layers", "told"),
    [
        ({"packing_strategy": "wrapped"}, "sdpa", [], "cuts through outputs"),
        ({}, "paged_unknown", [], "not known to keep packed sequences apart"),
        ({}, "sdpa", ["full_attention", "linear_attention"], "state runs on"),
    ],
)
def test_packing_that_would_leak_is_refused(
    settings: dict[str, str], attention: str, layers: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        check_packing(arguments(**settings), config=SimpleNamespace(layer_types=layers), attention=attention)


def test_without_packing_anything_goes() -> None:
    check_packing(SFTConfig(use_cpu=True), config=SimpleNamespace(), attention="unknown")
