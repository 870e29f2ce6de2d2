"""Packing is on only where packed sequences do not see each other."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention
from transformers import AutoConfig, AutoModelForCausalLM
from trl import SFTConfig

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.training.checks import check_packing
from tests.messages import naming

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
    return SFTConfig(**{"use_cpu": True, "packing": True, "per_device_train_batch_size": 1, **settings})


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
        ({}, "sdpa", ["full_attention", "linear_attention"], "linear_attention"),
    ],
)
def test_packing_that_would_leak_is_refused(
    settings: dict[str, str], attention: str, layers: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        check_packing(arguments(**settings), config=SimpleNamespace(layer_types=layers), attention=attention)


@pytest.mark.parametrize(
    ("attention", "settings", "told"),
    [
        ("sdpa", {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 16}, "steps: 128`"),
        ("eager", {"per_device_train_batch_size": 2}, "steps: 2`"),
        ("flex_attention", {}, "no backward pass of flex_attention"),
    ],
)
def test_packing_that_is_slower_than_none_or_cannot_run_is_refused_with_the_fix(
    attention: str, settings: dict[str, int], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        check_packing(arguments(**settings), config=SimpleNamespace(), attention=attention)


def test_flex_attention_on_a_cpu_is_refused_without_packing_too() -> None:
    with pytest.raises(UserError, match=naming("flex_attention", "CPU")):
        check_packing(arguments(packing=False), config=SimpleNamespace(), attention="flex_attention")


def test_attention_that_reads_boundaries_may_pack_several_rows() -> None:
    for attention in ("flash_attention_2", "kernels-community/flash-attn2"):
        training = arguments(per_device_train_batch_size=8)
        check_packing(training, config=SimpleNamespace(), attention=attention)


def test_flex_attention_still_has_no_backward_pass_on_a_cpu() -> None:
    # When this fails, packing.py can allow it.
    queries = torch.randn(1, 2, 16, 16, requires_grad=True)
    with pytest.raises((NotImplementedError, RuntimeError), match="backward on CPU"):
        flex_attention(queries, queries, queries).sum().backward()


@pytest.mark.parametrize("recipe", sorted(bundled("recipes").glob("*.yaml")), ids=lambda file: file.stem)
def test_recipes_fill_rows_in_a_way_that_pays_and_say_how_many(recipe: Path) -> None:
    training = read_recipe(recipe, overrides=["--use_cpu", "true", "--bf16", "false"]).training
    check_packing(training, config=SimpleNamespace(), attention="sdpa")
    text = recipe.read_text()
    for said in re.findall(r"# (\d) process(?:es)? x (\d) rows? x ([\d,]+) steps = ([\d,]+) rows", text):
        processes, rows, steps, product = (int(number.replace(",", "")) for number in said)
        assert processes * rows * steps == product
        assert (rows, steps) == (
            training.per_device_train_batch_size,
            training.gradient_accumulation_steps,
        )


def test_without_packing_anything_goes() -> None:
    check_packing(SFTConfig(use_cpu=True), config=SimpleNamespace(), attention="unknown")
