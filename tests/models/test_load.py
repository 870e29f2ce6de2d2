"""What loads is what was published: damaged or other weights and other splitting are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes import functional
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BartConfig, BertConfig, BitsAndBytesConfig, T5Config

from spectrum_trl.errors import UserError
from spectrum_trl.models.load import check_vocabulary, for_cpu, load_model, load_tokenizer, model_path
from spectrum_trl.paths import TINY_BASE, TINY_BASE_NAME, TINY_INSTRUCT
from tests.messages import named, naming
from tests.processes import run_command, run_recipe
from tests.real_models import real_model
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
        assert (
            named(" ".join(done.stderr.split()), "missing", "model.layers.1.")
            and "Traceback" not in done.stderr
        )
    assert not run.exists()


def test_a_folder_without_a_tokenizer_is_named_as_such(base: Path) -> None:
    for file in base.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match=naming(base, "tokenizer.json")):
        load_tokenizer(str(base))


def test_a_tokenizer_of_another_model_is_refused(world_tokenizer) -> None:
    check_vocabulary(built(world_tokenizer), world_tokenizer)
    smaller = built(world_tokenizer)
    smaller.resize_token_embeddings(len(world_tokenizer) - 1)
    with pytest.raises(UserError, match=naming("tokenizer", len(world_tokenizer) - 1)):
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
    with pytest.raises(UserError, match=naming("causal language model")):
        load_model(str(tmp_path))


def test_an_adapter_that_peft_saved_loads_with_the_settings_of_its_base(base: Path, tmp_path: Path) -> None:
    config = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], init_lora_weights=False)
    adapted = get_peft_model(load_model(str(base)), config)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    loaded = load_model(str(tmp_path / "adapter"))
    assert loaded.generation_config.eos_token_id == load_model(str(base)).generation_config.eos_token_id
    text = torch.arange(20)[None]
    assert torch.equal(loaded.eval()(text).logits, adapted.eval()(text).logits)


def test_every_matrix_in_4_bits_reads_back_as_it_was_but_for_rounding() -> None:
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    kept = for_cpu(quantization, name=TINY_BASE_NAME)
    whole = load_model(TINY_BASE_NAME)
    model = load_model(TINY_BASE_NAME, quantization_config=quantization, device_map={"": "cpu"})
    quantized = {name: layer for name, layer in model.named_modules() if isinstance(layer, Linear4bit)}
    assert len(kept) == 18 and quantized.keys() == {f"model.layers.{i}.mlp.down_proj" for i in range(3)}
    for name, layer in quantized.items():
        read = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        original = whole.get_submodule(name).weight
        assert (read - original).norm() < 0.12 * original.norm()
    with torch.no_grad():
        model.eval()(torch.arange(20)[None])


def _with_settings(folder: Path, source: Path, **changes: object) -> str:
    folder.mkdir()
    shutil.copy(source / "tokenizer.json", folder)
    settings = json.loads((source / "tokenizer_config.json").read_text()) | changes
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return str(folder)


# The fix that the message names.
FIX = {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False}


def test_settings_that_replace_the_pre_tokenizer_are_refused(tmp_path: Path) -> None:
    changes = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}
    name = _with_settings(tmp_path / "model", TINY_BASE, **changes)
    with pytest.raises(UserError, match=naming("tokenizer.json", "tokenizer_class")):
        load_tokenizer(name)
    load_tokenizer(_with_settings(tmp_path / "fixed", Path(name), **FIX))


@pytest.mark.parametrize("setting", ["enable_truncation", "enable_padding"])
def test_lengths_that_a_file_sets_are_no_other_splitting(setting: str, tmp_path: Path) -> None:
    name = _with_settings(tmp_path / "model", TINY_BASE)
    file = str(Path(name) / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    getattr(tokenizer, setting)(**({"max_length": 4} if setting == "enable_truncation" else {"length": 99}))
    tokenizer.save(file)
    load_tokenizer(name)


@pytest.mark.slow
def test_a_class_that_replaces_the_pre_tokenizer_of_a_real_model_is_refused(tmp_path: Path) -> None:
    source = real_model("smollm2-135m-instruct")
    with pytest.raises(UserError, match=naming("tokenizer.json", "GemmaTokenizer")):
        load_tokenizer(_with_settings(tmp_path / "model", source, tokenizer_class="GemmaTokenizer"))
    # transformers knows better than this one, and loads the file as it is.
    load_tokenizer(_with_settings(tmp_path / "alike", source, tokenizer_class="LlamaTokenizerFast"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gemma-3-270m", "smollm2-135m-instruct"])
def test_tokenizers_of_real_models_load(name: str) -> None:
    load_tokenizer(str(real_model(name)))


@pytest.mark.parametrize("folder", [TINY_BASE, TINY_INSTRUCT])
def test_tiny_tokenizers_load(folder: Path) -> None:
    load_tokenizer(str(folder))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma3", "qwen3", "llama3_1"])
def test_published_tokenizers_load_and_what_is_saved_of_them(
    tmp_path: Path, tokenizer_folder, family: str
) -> None:
    load_tokenizer(str(tokenizer_folder(family))).save_pretrained(tmp_path)
    load_tokenizer(str(tmp_path))
