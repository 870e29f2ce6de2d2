"""Role tokens copied between files are those that a loaded model would have, and nothing else changes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from spectrum_trl.commands.main import app
from spectrum_trl.errors import UserError
from spectrum_trl.models.initialise import copy_role_tokens, new_model
from spectrum_trl.models.load import load_model, load_tokenizer
from spectrum_trl.models.role_rows import RECORD, role_token_ids, transfer
from spectrum_trl.prompts import templates
from tests.messages import named
from tests.models.published import publish
from tests.processes import run_recipe
from tests.small_models import CONFIG

LAYERS = ("get_input_embeddings", "get_output_embeddings")


def save(
    folder: Path, tokenizer, *, tied: bool, seed: int, dtype=torch.float32, shard="5GB", **changes
) -> str:
    model = new_model(
        CONFIG | {"tie_word_embeddings": tied} | changes, vocab_size=len(tokenizer), seed=seed
    ).to(dtype)
    model.save_pretrained(folder, max_shard_size=shard)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("shard", ["5GB", "20KB"])
@pytest.mark.parametrize(("tied", "siblings"), [(True, True), (False, False), (False, True)])
def test_the_copied_model_is_the_one_that_training_would_start_from(
    tmp_path: Path, world_tokenizer, tied: bool, siblings: bool, shard: str
) -> None:
    base = save(tmp_path / "base", world_tokenizer, tied=tied, seed=0, dtype=torch.bfloat16, shard=shard)
    sibling = save(tmp_path / "sibling", world_tokenizer, tied=siblings, seed=1, shard=shard)
    (tmp_path / "base" / "LICENSE").write_text("Theirs.")
    assert (len(list(Path(base).glob("*.safetensors"))) > 1) == (shard == "20KB")
    assert transfer(base, sibling, tmp_path / "out") == ["<|im_start|>", "<|im_end|>"]
    tokenizer, expected = load_tokenizer(base), load_model(base)
    templates.install(tokenizer)
    copy_role_tokens(expected, tokenizer=tokenizer, family="chatml", sibling=sibling)
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert found.dtype == torch.bfloat16
    for (name, ours), (_, theirs) in zip(found.named_parameters(), expected.named_parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    changed = load_model(base).get_input_embeddings().weight != found.get_input_embeddings().weight
    assert changed.any(-1).nonzero()[:, 0].tolist() == role_token_ids(tokenizer, family="chatml")
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert len(record["matrices"]) == (1 if tied else 2) and record["instruct"] == sibling
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        RECORD,
        *(file.name for file in Path(base).iterdir()),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "tied"),
    [
        pytest.param("qwen3", True, marks=pytest.mark.nightly),
        ("llama3_1", False),
        pytest.param("gemma3", True, marks=pytest.mark.nightly),
    ],
)
def test_published_shapes_are_read(tmp_path: Path, tokenizer_folder, family: str, tied: bool) -> None:
    for name, seed in (("base", 0), ("sibling", 1)):
        publish(
            tmp_path / name, family=family, tokenizer_folder=tokenizer_folder(family), tied=tied, seed=seed
        )
    names = transfer(str(tmp_path / "base"), str(tmp_path / "sibling"), tmp_path / "out")
    ids = load_tokenizer(str(tmp_path / "base")).convert_tokens_to_ids(names)
    models = [load_model(str(tmp_path / name)) for name in ("base", "sibling", "out")]
    for layer in LAYERS:
        before, sibling, after = (getattr(model, layer)().weight for model in models)
        assert torch.equal(after[ids], sibling[ids]) and not torch.equal(after[ids], before[ids])
        assert (after != before).any(-1).sum() == len(ids)


def test_what_does_not_belong_together_is_refused_and_nothing_is_written(
    tmp_path: Path, world_tokenizer, tiny_tokenizer
) -> None:
    base = save(tmp_path / "base", world_tokenizer, tied=True, seed=0)
    wide = save(tmp_path / "wide", world_tokenizer, tied=True, seed=1, hidden_size=48)
    apart = save(tmp_path / "apart", world_tokenizer, tied=False, seed=1)
    other = shutil.copytree(apart, tmp_path / "other")
    file = other / "tokenizer.json"
    vocabulary = json.loads(file.read_text())
    numbered = vocabulary["model"]["vocab"]
    first, second = list(numbered)[300:302]
    numbered[first], numbered[second] = numbered[second], numbered[first]
    file.write_text(json.dumps(vocabulary))
    without = shutil.copytree(base, tmp_path / "without")
    (without / "model.safetensors").unlink()
    for sibling, things in (
        (wide, ["INSTRUCT", 48, 32]),
        (apart, ["INSTRUCT", apart, "output layer"]),
        (str(other), ["INSTRUCT", other, 2]),
        (str(without), [without, "embed_tokens.weight"]),
        (str(tmp_path / "none"), [tmp_path / "none"]),
    ):
        found = CliRunner().invoke(app, ["transfer-tokens", base, sibling, str(tmp_path / "out")])
        assert isinstance(found.exception, UserError), (sibling, found.exception)
        assert named(str(found.exception), *things), found.exception
    assert {path.name for path in tmp_path.iterdir()} == {"base", "wide", "apart", "other", "without"}


def test_lora_from_such_a_folder_trains_no_embedding(tmp_path: Path, world_tokenizer) -> None:
    base = save(tmp_path / "base", world_tokenizer, tied=True, seed=0)
    transfer(base, save(tmp_path / "sibling", world_tokenizer, tied=True, seed=1), tmp_path / "out")
    words = [
        "--model_name_or_path",
        tmp_path / "out",
        "--copy_role_tokens_from",
        "",
        "--lora_modules_to_save",
        "[]",
    ]
    words += ["--tasks", "coinflip", "--max_sequences", "6", "--max_length", "128", "--save_strategy", "no"]
    words += ["--use_cpu", "true", "--bf16", "false", "--dtype", "float32", "--max_steps", "1"]
    words += ["--gradient_accumulation_steps", "1", "--output_dir", tmp_path / "run"]
    done = run_recipe("recipes/lora.yaml", *words)
    assert done.returncode == 0, done.stderr
    assert all("lora_" in name for name in load_file(tmp_path / "run" / "adapter_model.safetensors"))
    ids = world_tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    loaded = load_model(str(tmp_path / "run")).get_input_embeddings().weight[ids]
    sibling = load_model(str(tmp_path / "sibling")).get_input_embeddings().weight[ids]
    assert torch.equal(loaded, sibling)
