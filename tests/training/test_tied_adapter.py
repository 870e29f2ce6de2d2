"""An adapter that trains the embedding of a tied bfloat16 base is one model, whoever loads it."""

from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from spectrum_trl.models.load import load_model
from spectrum_trl.models.merge import merge
from spectrum_trl.scoring.lm import SpectrumLM
from tests.processes import run_recipe
from tests.real_models import real_model
from tests.small_models import built, untied_by_weights

WORDS = "--use_cpu true --max_steps 2 --gradient_accumulation_steps 1 --per_device_train_batch_size 1".split()
WORDS += "--tasks coinflip --max_sequences 4 --max_length 64 --save_strategy no --learning_rate 1e-3".split()


def check_every_loader(base: Path, folder: Path, *words: str) -> None:
    run = folder / "run"
    words = ("--model_name_or_path", str(base), "--copy_role_tokens_from", "", *words)
    done = run_recipe("recipes/lora.yaml", *words, *WORDS, "--output_dir", run)
    assert done.returncode == 0, done.stderr
    saved = load_file(run / "adapter_model.safetensors")
    embedding, head = (saved[f"base_model.model.{name}.weight"] for name in ("model.embed_tokens", "lm_head"))
    assert embedding.dtype == torch.bfloat16 and torch.equal(embedding, head)
    merge(run, folder / "merged")
    merge(run, folder / "merged_exactly", dtype=torch.float32)
    stock = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert not torch.equal(stock.get_input_embeddings().weight, embedding.float())
    loaded = {
        "peft": PeftModel.from_pretrained(stock, str(run)),
        "auto": AutoModelForCausalLM.from_pretrained(run, dtype=torch.float32),
        "autopeft": AutoPeftModelForCausalLM.from_pretrained(run, dtype=torch.float32),
        "ours": load_model(str(run), dtype=torch.float32),
        # lm-eval ties the layers once more.
        "lm": SpectrumLM(str(run), device="cpu").model,
        "lm with peft": SpectrumLM(str(base), peft=str(run), tokenizer=str(run), device="cpu").model,
        "merged exactly": AutoModelForCausalLM.from_pretrained(folder / "merged_exactly"),
    }
    text = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected = loaded["peft"].eval()(text).logits.log_softmax(-1)
        for name, model in loaded.items():
            assert torch.allclose(model.eval()(text).logits.log_softmax(-1), expected, atol=1e-3), name
    merged = AutoModelForCausalLM.from_pretrained(folder / "merged")
    for matrix in (merged.get_input_embeddings().weight, merged.get_output_embeddings().weight):
        assert torch.equal(matrix, embedding)
    # What is merged into 16 bits is rounded by less than a step of theirs, which is up to 2^-7 of a weight.
    for name, weight in loaded["merged exactly"].named_parameters():
        assert torch.allclose(merged.get_parameter(name).float(), weight, rtol=2**-7, atol=0), name


@pytest.mark.parametrize("whole", ["embed_tokens", "lm_head", "embed_tokens lm_head"])
def test_every_loader_gives_the_same_model(whole: str, tmp_path: Path, world_tokenizer) -> None:
    built(world_tokenizer).to(torch.bfloat16).save_pretrained(tmp_path / "base")
    world_tokenizer.save_pretrained(tmp_path / "base")
    check_every_loader(tmp_path / "base", tmp_path, "--lora_modules_to_save", *whole.split())


@pytest.mark.parametrize("whole", ["embed_tokens", "lm_head", "embed_tokens,lm_head"])
def test_layers_that_only_the_configuration_ties_stay_apart(
    whole: str, tmp_path: Path, world_tokenizer
) -> None:
    base, text = tmp_path / "base", torch.arange(5, 25)[None]
    untied_by_weights(base, tokenizer=world_tokenizer)
    words = ["--model_name_or_path", str(base), "--copy_role_tokens_from", "", *WORDS]
    words += ["--bf16", "false", "--dtype", "float32", "--lora_modules_to_save", whole]
    run = tmp_path / "run"
    done = run_recipe("recipes/lora.yaml", *words, "--learning_rate", "1e-9", "--output_dir", run)
    assert done.returncode == 0, done.stderr
    merge(run, tmp_path / "merged")
    stock = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        expected = stock.eval()(text).logits
        for name, model in {
            "auto": AutoModelForCausalLM.from_pretrained(run),
            "autopeft": AutoPeftModelForCausalLM.from_pretrained(run),
            "ours": load_model(str(run)),
            "merged": AutoModelForCausalLM.from_pretrained(tmp_path / "merged"),
            "peft": PeftModel.from_pretrained(stock, str(run)),
        }.items():
            assert torch.allclose(model.eval()(text).logits, expected, atol=1e-3), name


@pytest.mark.slow
def test_every_loader_gives_the_same_real_model(tmp_path: Path) -> None:
    check_every_loader(real_model("smollm2-135m-instruct"), tmp_path)
