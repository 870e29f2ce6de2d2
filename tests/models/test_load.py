"""Folders whose weights are damaged, or those of another model, are refused with one message."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BartConfig, BertConfig, T5Config

from spectrum_trl.errors import UserError
from spectrum_trl.models.load import check_vocabulary, load_model, load_tokenizer, model_path
from spectrum_trl.paths import TINY_BASE
from tests.processes import run_command, run_recipe
from tests.small_models import built

WEIGHTS, CONFIG = "model.safetensors", "config.json"
SMALL = ["--tasks", "tiny_range", "--max_sequences", "5", "--evaluate", "none", "--max_steps", "1"]
SMALL += ["--copy_role_tokens_from", ""]


def _without_a_layer(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({k: v for k, v in tensors.items() if "layers.1." not in k}, folder / WEIGHTS, {"format": "pt"})


def _cut(size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:size])


def _config(**changes: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        settings = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(settings | changes))

    return write


DAMAGE = {
    "are missing, for example model.layers.1.": _without_a_layer,
    "cannot load the model of .*Check the folder": _cut(1000),
    "cannot load the model of .*header.*Check the folder": _cut(0),
    "cannot load the model of .*: .* Check the folder": lambda folder: (folder / CONFIG).write_text("[]"),
    "cannot load the model of .*hidden_size": _config(hidden_size="x"),
    "have the wrong size": _config(hidden_size=64),
    "have the wrong size, for example .*k_proj": _config(num_attention_heads=7, num_key_value_heads=7),
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return shutil.copytree(TINY_BASE, tmp_path / "base")


@pytest.mark.parametrize("told", DAMAGE)
def test_a_damaged_model_is_refused(base: Path, told: str) -> None:
    DAMAGE[told](base)
    with pytest.raises(UserError, match=told):
        load_model(str(base))


def test_neither_training_nor_evaluation_fills_missing_weights_with_random_numbers(
    base: Path, tmp_path: Path
) -> None:
    _without_a_layer(base)
    run = tmp_path / "run"
    for done in (
        run_recipe("recipes/demo.yaml", *SMALL, "--model_name_or_path", base, "--output_dir", run),
        run_command("tiny", base),
    ):
        assert done.returncode == 2, done.stderr
        assert "are missing, for example model.layers.1." in done.stderr and "Traceback" not in done.stderr
    assert not run.exists()


def test_a_folder_without_a_tokenizer_is_named_as_such(base: Path) -> None:
    for file in base.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match="has no tokenizer; copy its tokenizer.json"):
        load_tokenizer(str(base))


def test_a_tokenizer_of_another_model_is_refused(world_tokenizer) -> None:
    check_vocabulary(built(world_tokenizer), world_tokenizer)
    smaller = built(world_tokenizer)
    smaller.resize_token_embeddings(len(world_tokenizer) - 1)
    with pytest.raises(UserError, match=f"its tokenizer has ids up to {len(world_tokenizer) - 1}"):
        check_vocabulary(smaller, world_tokenizer)


def test_a_special_token_that_cannot_occur_needs_no_row(world_tokenizer, spectrum_tokenizer) -> None:
    gemma = spectrum_tokenizer("gemma3")
    model = built(world_tokenizer)
    model.resize_token_embeddings(262_144)
    assert len(gemma) == 262_145
    check_vocabulary(model, gemma)


def test_a_folder_is_loaded_by_its_full_path(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base.parent)
    monkeypatch.setenv("HOME", str(base.parent))
    assert model_path("base") == model_path("~/base") == str(base)
    assert model_path("Qwen/Qwen3-8B") == "Qwen/Qwen3-8B"


def test_an_adapter_without_a_tokenizer_has_that_of_its_base(base: Path, tmp_path: Path) -> None:
    config = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
    get_peft_model(load_model(str(base)), config).save_pretrained(str(tmp_path / "adapter"))
    expected = load_tokenizer(str(base)).get_vocab()
    assert load_tokenizer(str(tmp_path / "adapter")).get_vocab() == expected
    assert load_tokenizer(str(tmp_path / "adapter"), base=str(base)).get_vocab() == expected


@pytest.mark.parametrize("config", [BertConfig, BartConfig, T5Config])
def test_models_that_see_what_they_predict_are_refused(config: Any, tmp_path: Path) -> None:
    config(vocab_size=20).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="expected a causal language model"):
        load_model(str(tmp_path))


def test_an_adapter_that_peft_saved_loads_with_the_settings_of_its_base(base: Path, tmp_path: Path) -> None:
    config = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], init_lora_weights=False)
    adapted = get_peft_model(load_model(str(base)), config)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    loaded = load_model(str(tmp_path / "adapter"))
    assert loaded.generation_config.eos_token_id == load_model(str(base)).generation_config.eos_token_id
    text = torch.arange(20)[None]
    assert torch.equal(loaded.eval()(text).logits, adapted.eval()(text).logits)
