"""What is saved: number types, a configuration to generate with, a model card, a processor, weights once."""

import json
import re
from pathlib import Path

import bitsandbytes
import pytest
import torch
from datasets import Dataset
from huggingface_hub import ModelCard, ModelCardData
from peft import PeftModel
from rich.console import Console
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl import SFTTrainer

from spectrum_trl.models.initialise import new_model
from spectrum_trl.models.load import load_model
from spectrum_trl.models.merge import merge
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.training.model import adapter_config, starting_model, train_in_single_precision
from tests.messages import named
from tests.models.published import publish_with_vision
from tests.processes import printed, run_recipe
from tests.small_models import CONFIG

ROOT = Path(__file__).parents[2]
SMALL = ["--use_cpu", "true", "--bf16", "false", "--max_steps", "2", "--gradient_accumulation_steps", "1"]
DATA = ["--tasks", "coinflip", "--max_sequences", "6", "--max_length", "128", "--save_strategy", "no"]
WORDS = ["--copy_role_tokens_from", "", *SMALL, *DATA, "--per_device_train_batch_size", "1"]

# Without mixed precision, what is frozen has the precision of what is trained.
WHOLE_BASE = ["--dtype", "float32"]


def train(recipe: str, base: str | Path, out: Path, *words: str) -> Path:
    done = run_recipe(
        f"recipes/{recipe}.yaml", "--model_name_or_path", base, "--output_dir", out, *WORDS, *words
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, world_tokenizer) -> Path:
    """A tied model as a folder of each number type, with the card of its makers."""
    folder = tmp_path_factory.mktemp("bases")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        base = folder / str(dtype).removeprefix("torch.")
        # Widths that bitsandbytes can read on a CPU.
        config = CONFIG | {"hidden_size": 64, "intermediate_size": 128, "head_dim": 32}
        new_model(config, vocab_size=len(world_tokenizer), seed=0).to(dtype).save_pretrained(base)
        world_tokenizer.save_pretrained(base)
        data = ModelCardData(license="gemma", base_model="someone/their-base")
        ModelCard(f"---\n{data}\n---\nTheirs.").save(base / "README.md")
    return folder


@pytest.mark.parametrize(
    ("base", "words", "expected"),
    [
        ("bfloat16", [], torch.bfloat16),
        ("float16", [], torch.float16),
        ("float32", [], torch.float32),
        ("bfloat16", ["--save_dtype", "float32"], torch.float32),
    ],
)
def test_full_fine_tuning_is_saved_in_the_number_type_of_its_checkpoint(
    tmp_path: Path, bases: Path, base: str, words: list[str], expected: torch.dtype
) -> None:
    out = train("single_gpu", bases / base, tmp_path / "x", *words)
    saved = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {expected}
    assert saved.keys() == load_file(bases / base / "model.safetensors").keys()
    config = AutoConfig.from_pretrained(out)
    assert (config.dtype, config.use_cache) == (expected, True)
    assert AutoModelForCausalLM.from_pretrained(out).dtype == expected


def test_an_adapter_is_saved_in_the_number_type_of_its_base(tmp_path: Path, bases: Path) -> None:
    out = train("lora", bases / "bfloat16", tmp_path / "x", *WHOLE_BASE)
    saved = load_file(out / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("recipe", "library", "relation"),
    [("single_gpu", "transformers", "finetune"), ("lora", "peft", "adapter")],
)
def test_the_model_card_names_base_licence_data_and_recipe(
    tmp_path: Path, bases: Path, recipe: str, library: str, relation: str
) -> None:
    out = train(recipe, bases / "float32", tmp_path / "x", "--hub_token", "hf_secret", *WHOLE_BASE)
    card = ModelCard.load(out / "README.md", ignore_metadata_errors=False)
    data = card.data.to_dict()
    assert (data["library_name"], data["license"], data["base_model"]) == (
        library,
        "gemma",
        "someone/their-base",
    )
    assert data["base_model_relation"] == relation and data["pipeline_tag"] == "text-generation"
    assert re.search(r"\| coinflip \| 6 \| \d+ \| \d+ \|", card.text)
    assert "description_probability: 0.8" in card.text and "hf_secret" not in card.text
    assert "None" not in card.text and str(bases / "float32") in card.text


def test_the_code_on_the_model_card_runs(tmp_path: Path, bases: Path, monkeypatch, capsys) -> None:
    train("lora", bases / "float32", tmp_path / "mine", *WHOLE_BASE)
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.+?)```", (tmp_path / "mine" / "README.md").read_text(), re.DOTALL)
    exec(code[1], {})
    assert "<|im_start|>output" in capsys.readouterr().out


QLORA = ["--learning_rate", "1e-5"]


def test_qlora_trains_on_a_cpu_in_4_bits_and_every_trained_weight_moves_in_single_precision(
    tmp_path: Path, bases: Path
) -> None:
    # A checkpoint of 16 bits, so that rounding alone would move nothing.
    source = str(bases / "bfloat16")
    out = train("qlora", source, tmp_path / "x", *QLORA, "--save_dtype", "float32")
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    base = load_model(source, quantization_config=quantization, device_map={"": "cpu"}, dtype=torch.float32)
    before = base.get_input_embeddings().weight.detach().clone()
    adapted = PeftModel.from_pretrained(base, str(out), is_trainable=True)
    trained = {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}
    frozen = [layer for layer in base.modules() if isinstance(layer, bitsandbytes.nn.Linear4bit)]
    assert len(frozen) == 14 and all(layer.weight.dtype == torch.uint8 for layer in frozen)
    assert {weight.dtype for weight in trained.values()} == {torch.float32}
    # Adam moves every weight by about the learning rate; in bfloat16 most would stay where they are.
    assert (adapted.get_input_embeddings().weight != before).float().mean() > 0.99
    assert all((weight != 0).all() for name, weight in trained.items() if "lora_B" in name)


def test_what_is_trained_on_quantized_weights_is_in_single_precision_before_the_first_step(
    tmp_path: Path, bases: Path
) -> None:
    base, out = str(bases / "float32"), str(tmp_path / "x")
    words = [*WORDS, *QLORA, "--output_dir", out, "--model_name_or_path", base]
    recipe = read_recipe("recipes/qlora.yaml", overrides=words)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = starting_model(recipe, tokenizer=tokenizer, family="chatml", out=Console(quiet=True))
    messages = [{"role": "description", "content": "a"}, {"role": "output", "content": "b"}]
    trainer = SFTTrainer(
        model=model,
        args=recipe.training,
        train_dataset=Dataset.from_list([{"messages": messages}]),
        processing_class=tokenizer,
        peft_config=adapter_config(recipe, model=model),
    )
    train_in_single_precision(trainer.model)
    trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    assert len(trained) == 9 and {weight.dtype for weight in trained} == {torch.float32}


def test_qlora_leaves_alone_what_bitsandbytes_reads_wrong_on_a_cpu(tmp_path: Path) -> None:
    words = [*WORDS, *QLORA, "--output_dir", str(tmp_path / "x"), "--model_name_or_path", TINY_BASE_NAME]
    refused = run_recipe("recipes/qlora.yaml", *words)
    assert (refused.returncode, (tmp_path / "x").exists()) == (2, False), refused.stderr
    assert named(refused.stderr, "dtype bfloat16", "mixed precision") and "Traceback" not in refused.stderr
    done = run_recipe("recipes/qlora.yaml", *words, "--dtype", "float32")
    assert done.returncode == 0, done.stderr
    assert printed(done.stdout, "4-bit weights")[1][0] == 18


def test_an_adapter_that_fsdp_would_lose_is_refused_before_anything_is_written(
    tmp_path: Path, bases: Path
) -> None:
    lines = "activation_checkpointing: true\nfsdp: true\nfsdp_config:\n  activation_checkpointing: true\n"
    text = (ROOT / "recipes" / "lora.yaml").read_text()
    recipe = tmp_path / "sharded.yaml"
    changed = text.replace("activation_checkpointing: true\n", lines + "  cpu_ram_efficient_loading: true\n")
    recipe.write_text(changed)
    base, out = bases / "float32", tmp_path / "x"
    done = run_recipe(recipe, "--model_name_or_path", base, "--output_dir", out, *WORDS)
    assert done.returncode == 2 and "Traceback" not in done.stderr and not out.exists()
    said = " ".join(done.stderr.split())
    assert named(said, "`activation_checkpointing: true`", "top level")
    assert named(said, "cpu_ram_efficient_loading", "LoRA")


def test_lora_keeps_the_frozen_base_in_16_bits_and_trains_in_32(tmp_path: Path, bases: Path) -> None:
    words = [*WORDS, "--bf16", "true", "--learning_rate", "1e-3"]
    out = tmp_path / "x"
    done = run_recipe(
        "recipes/lora.yaml", "--model_name_or_path", bases / "bfloat16", "--output_dir", out, *words
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"trained[^;]* float32; frozen[^;]* bfloat16;", " ".join(done.stdout.split()))
    merge(out, tmp_path / "merged", dtype=torch.float32)
    trained, base = load_model(str(tmp_path / "merged")), load_model(str(bases / "bfloat16"))
    for layer in ("q_proj", "v_proj"):
        name = f"model.layers.0.self_attn.{layer}"
        assert not torch.equal(trained.get_submodule(name).weight, base.get_submodule(name).weight.float())


@pytest.mark.slow
def test_gemma_3_with_its_vision_part_keeps_its_processor_and_its_adapter_loads(
    tmp_path: Path, tokenizer_folder
) -> None:
    base = publish_with_vision(tmp_path / "base", tokenizer_folder=tokenizer_folder("gemma3"))
    run = train("lora", base, tmp_path / "run", "--learning_rate", "1e-3", *WHOLE_BASE)
    assert not [name for name in load_file(run / "adapter_model.safetensors") if "vision" in name]
    adapted = load_model(str(run)).eval()
    text = torch.arange(1000, 1012)[None]
    merge(run, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert type(merged).__name__ == "Gemma3ForConditionalGeneration"
    with torch.no_grad():
        assert torch.allclose(merged(text).logits, adapted(text).logits, atol=1e-5)
    assert (
        load_file(tmp_path / "merged" / "model.safetensors").keys()
        == load_file(base / "model.safetensors").keys()
    )
    for folder in (run, tmp_path / "merged"):
        for name in ("processor_config.json", "preprocessor_config.json"):
            assert json.loads((folder / name).read_text()) == json.loads((base / name).read_text())
