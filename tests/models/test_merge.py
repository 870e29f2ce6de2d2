"""Adapters stop where a turn ends, keep tied weights tied, and merge into stock folders."""

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from huggingface_hub import ModelCard
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from typer.testing import CliRunner

from spectrum_trl.commands.main import app, main
from spectrum_trl.errors import UserError
from spectrum_trl.models.folder import training_record
from spectrum_trl.models.initialise import new_model
from spectrum_trl.models.load import load_model
from spectrum_trl.models.merge import merge
from spectrum_trl.models.role_rows import role_token_ids
from spectrum_trl.paths import TINY_BASE
from spectrum_trl.recipe.read import read_recipe
from tests.messages import named
from tests.models.published import publish
from tests.processes import ROOT, run_command, run_recipe
from tests.small_models import CONFIG

ON_A_CPU = [
    "--use_cpu",
    "true",
    "--bf16",
    "false",
    "--dtype",
    "float32",
    "--max_steps",
    "3",
    "--gradient_accumulation_steps",
    "1",
]
DATA = ["--tasks", "coinflip", "--max_sequences", "6", "--max_length", "128", "--save_strategy", "no"]
MESSAGES = [{"role": "description", "content": "A fair coin."}]
TEXT = torch.arange(1000, 1012)[None]


def lora(base: Path, out: Path, *words: str, cwd: Path = ROOT) -> Path:
    """Train the bundled LoRA recipe on a base model for three steps."""
    small = [*ON_A_CPU, *DATA, "--per_device_train_batch_size", "1", "--learning_rate", "1e-3"]
    done = run_recipe(
        ROOT / "recipes/lora.yaml",
        "--model_name_or_path",
        base,
        "--copy_role_tokens_from",
        "",
        "--output_dir",
        out,
        *small,
        *words,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return out


def n_generated(model, tokenizer) -> int:
    prompt = tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    return model.generate(**prompt, max_new_tokens=8, do_sample=False).shape[1] - prompt["input_ids"].shape[1]


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model.eval()(TEXT).logits


def shares_storage(model) -> bool:
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    return embedding.data_ptr() == head.data_ptr()


@pytest.mark.slow
@pytest.mark.parametrize(("family", "tied"), [("qwen3", True), ("llama3_1", False), ("gemma3", True)])
def test_an_adapter_and_its_merged_model_stop_at_the_end_of_a_turn(
    tmp_path: Path, tokenizer_folder, family: str, tied: bool
) -> None:
    base = publish(tmp_path / "base", family=family, tokenizer_folder=tokenizer_folder(family), tied=tied)
    run, out = lora(base, tmp_path / "run"), tmp_path / "merged"
    # The way in docs/training.md and on the model card.
    adapted = AutoModelForCausalLM.from_pretrained(
        run, generation_config=GenerationConfig.from_pretrained(run)
    )
    with_peft = PeftModel.from_pretrained(load_model(str(base)), str(run))
    tokenizer = AutoTokenizer.from_pretrained(run)
    assert n_generated(AutoModelForCausalLM.from_pretrained(run), tokenizer) == 8
    assert n_generated(adapted, tokenizer) == n_generated(load_model(str(run)), tokenizer) == 1
    done = run_command("merge", run, out)
    assert done.returncode == 0, done.stderr
    merged, original = AutoModelForCausalLM.from_pretrained(out), load_model(str(base))
    assert n_generated(merged, AutoTokenizer.from_pretrained(out)) == 1
    assert (logits(adapted) - logits(with_peft)).abs().max() == 0
    assert (logits(merged) - logits(adapted)).abs().max() < 1e-5
    assert (logits(merged) - logits(original)).abs().max() > 1e-3
    assert shares_storage(merged) == tied == shares_storage(with_peft)
    assert load_file(out / "model.safetensors").keys() == load_file(base / "model.safetensors").keys()
    assert merged.config.use_cache and not list(out.glob("*.bin"))
    template = (run / "chat_template.jinja").read_text()
    assert "'description'" in template and (out / "chat_template.jinja").read_text() == template
    assert ModelCard.load(out / "README.md").data.library_name == "transformers"


def test_lora_trains_one_matrix_of_a_tied_model(tiny_run: Path) -> None:
    saved = load_file(tiny_run / "adapter_model.safetensors")
    embedding = saved["base_model.model.model.embed_tokens.weight"]
    assert torch.equal(embedding, saved["base_model.model.lm_head.weight"])
    base = load_model("spectrum-trl/tiny-base")
    assert not torch.equal(embedding, base.get_input_embeddings().weight)
    assert shares_storage(AutoPeftModelForCausalLM.from_pretrained(tiny_run))
    config = json.loads((tiny_run / "adapter_config.json").read_text())
    assert config["ensure_weight_tying"]
    assert read_recipe(tiny_run / "recipe.yaml").model.lora_modules_to_save == ["embed_tokens", "lm_head"]


@pytest.mark.xfail(
    raises=KeyError,
    strict=True,
    reason="https://github.com/huggingface/peft/issues/2864: both names are needed",
)
def test_an_adapter_file_with_a_tied_matrix_under_one_name_loads(tmp_path: Path, tiny_run: Path) -> None:
    once = shutil.copytree(tiny_run, tmp_path / "once")
    tensors = load_file(once / "adapter_model.safetensors")
    del tensors["base_model.model.lm_head.weight"]
    save_file(tensors, once / "adapter_model.safetensors")
    PeftModel.from_pretrained(load_model("spectrum-trl/tiny-base"), str(once))


@pytest.mark.parametrize("tied", [True, False])
def test_copied_role_tokens_survive_in_an_adapter_and_in_its_merged_model(
    tmp_path: Path, world_tokenizer, tied: bool
) -> None:
    for name, seed in (("base", 0), ("sibling", 1)):
        new_model(
            CONFIG | {"tie_word_embeddings": tied}, vocab_size=len(world_tokenizer), seed=seed
        ).save_pretrained(tmp_path / name)
        world_tokenizer.save_pretrained(tmp_path / name)
    words = ["--copy_role_tokens_from", str(tmp_path / "sibling"), "--learning_rate", "1e-9"]
    merge(lora(tmp_path / "base", tmp_path / "run", *words), tmp_path / "merged")
    ids = role_token_ids(world_tokenizer, family="chatml")
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        base, sibling, merged = (
            getattr(load_model(str(tmp_path / name)), layer)().weight
            for name in ("base", "sibling", "merged")
        )
        assert torch.allclose(merged[ids], sibling[ids], atol=1e-6)
        assert not torch.allclose(base[ids], sibling[ids], atol=1e-3)


def test_a_merged_model_has_the_number_type_of_its_base_unless_another_is_named(
    tmp_path: Path, tiny_run: Path
) -> None:
    assert merge(tiny_run, tmp_path / "own") == torch.float32
    assert merge(tiny_run, tmp_path / "named", dtype=torch.bfloat16) == torch.bfloat16
    for name, dtype in (("own", torch.float32), ("named", torch.bfloat16)):
        model = AutoModelForCausalLM.from_pretrained(tmp_path / name)
        assert model.dtype == dtype
        assert {tensor.dtype for tensor in load_file(tmp_path / name / "model.safetensors").values()} == {
            dtype
        }


def test_embedding_and_head_that_an_adapter_trained_apart_are_both_kept(
    tmp_path: Path, tiny_run: Path, tiny_tokenizer
) -> None:
    model = load_model("spectrum-trl/tiny-base")
    config = LoraConfig(
        task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"]
    )
    adapted = get_peft_model(model, config)
    torch.nn.init.normal_(adapted.get_output_embeddings().weight)
    adapted.save_pretrained(str(tmp_path / "run"))
    tiny_tokenizer.save_pretrained(tmp_path / "run")
    merge(tmp_path / "run", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert not merged.config.tie_word_embeddings
    text = TEXT % 700
    with torch.no_grad():
        assert torch.allclose(merged(text).logits, adapted.eval()(text).logits, atol=1e-5)


@pytest.mark.parametrize(
    "targets",
    [
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ".*embed_tokens"},
        {"target_modules": ["q_proj"], "target_parameters": ["embed_tokens.weight"]},
        {"target_modules": ["q_proj"], "target_parameters": ["lm_head.weight"]},
    ],
    ids=str,
)
def test_an_adapter_on_one_of_two_tied_layers_is_not_merged_into_both(
    tmp_path: Path, tiny_tokenizer, targets: dict[str, Any]
) -> None:
    layer = "lm_head" if "lm_head" in str(targets) else "embed_tokens"
    config = LoraConfig(task_type="CAUSAL_LM", r=2, init_lora_weights=False, **targets)
    get_peft_model(load_model("spectrum-trl/tiny-base"), config).save_pretrained(str(tmp_path / "run"))
    tiny_tokenizer.save_pretrained(tmp_path / "run")
    with pytest.raises(UserError, match=f"{layer}, which shares its weights; it cannot be merged"):
        merge(tmp_path / "run", tmp_path / "merged")


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return lora(Path("spectrum-trl/tiny-base"), folder / "run")


@torch.no_grad()
def test_part_of_the_way_keeps_role_tokens_and_is_the_same_for_an_adapter_and_a_whole_model(
    tmp_path: Path, tiny_run: Path, tiny_tokenizer
) -> None:
    merge(tiny_run, tmp_path / "tuned")
    shutil.copy(tiny_run / "recipe.yaml", tmp_path / "tuned")
    for run, out in ((tiny_run, "from_adapter"), (tmp_path / "tuned", "from_whole")):
        merge(run, tmp_path / out, share=0.25)
    base = load_model("spectrum-trl/tiny-base").state_dict()
    tuned, adapter, whole = (
        load_file(tmp_path / name / "model.safetensors") for name in ("tuned", "from_adapter", "from_whole")
    )
    roles = role_token_ids(tiny_tokenizer, family="chatml")
    assert tuned.keys() == adapter.keys() == whole.keys()
    for name, weight in tuned.items():
        expected = 0.75 * base[name] + 0.25 * weight
        if name == "model.embed_tokens.weight":
            assert not torch.equal(expected[roles], weight[roles])
            expected[roles] = weight[roles]
        for found in (adapter[name], whole[name]):
            assert torch.allclose(found, expected, atol=1e-7), name
    assert "0.25 of the way" in (tmp_path / "from_adapter" / "README.md").read_text()


@pytest.mark.parametrize("share", ["0", "1.5", "nan", "-0.1"])
def test_a_share_beyond_its_range_is_refused(share: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["merge", str(tmp_path), str(tmp_path / "out"), "--share", share])
    assert isinstance(found.exception, UserError) and named(str(found.exception), "--share", share)


def test_a_whole_model_without_a_known_start_is_not_merged(tmp_path: Path, tiny_run: Path) -> None:
    merge(tiny_run, tmp_path / "tuned")
    with pytest.raises(UserError, match=r"has no recipe\.yaml that names a base model"):
        merge(tmp_path / "tuned", tmp_path / "out", share=0.5)
    other = read_recipe(tiny_run / "recipe.yaml").path.read_text()
    (tmp_path / "tuned" / "recipe.yaml").write_text(
        other.replace("spectrum-trl/tiny-base", "spectrum-trl/no")
    )
    with pytest.raises(UserError, match=r"model_name_or_path in .*recipe\.yaml"):
        merge(tmp_path / "tuned", tmp_path / "out", share=0.5)
    assert not (tmp_path / "out").exists()


def test_a_merged_model_ends_with_its_tokenizer(tmp_path: Path, tiny_run: Path, tiny_tokenizer) -> None:
    merge(tiny_run, tmp_path / "merged")
    config = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").config
    assert config.eos_token_id == tiny_tokenizer.eos_token_id
    assert config.pad_token_id == tiny_tokenizer.pad_token_id != config.eos_token_id


def test_a_merged_model_says_what_it_was_trained_on(tmp_path: Path, tiny_run: Path) -> None:
    merge(tiny_run, tmp_path / "merged")
    found = training_record(str(tmp_path / "merged"))
    assert found and found == training_record(str(tiny_run)) and found.counts


def test_a_merged_model_of_damaged_records_has_no_card_and_says_so(
    tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "provenance.json").write_text("{")
    merge(run, tmp_path / "merged")
    assert "no model card: the records of" in capsys.readouterr().err
    assert not (tmp_path / "merged" / "README.md").exists()
    AutoModelForCausalLM.from_pretrained(tmp_path / "merged")


def _without_base(run: Path) -> None:
    _write_config(run, base_model_name_or_path="spectrum-trl/nowhere")


def _cut(run: Path) -> None:
    file = run / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def _write_config(run: Path, **changes: object) -> None:
    file = run / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _keep_weights(run: Path, *, share: float) -> None:
    file = run / "adapter_model.safetensors"
    tensors = load_file(file)
    lora = sorted(name for name in tensors if "lora_" in name)
    for name in lora[int(share * len(lora)) :]:
        del tensors[name]
    save_file(tensors, file)


DAMAGE = {
    "lacks 6 of its weights": lambda run: _keep_weights(run, share=0.5),
    "lacks 12 of its weights": lambda run: _keep_weights(run, share=0),
    "its adapter does not fit": lambda run: save_file({}, run / "adapter_model.safetensors"),
    "6 unexpected ones, .*v_proj": lambda run: _write_config(run, target_modules=["q_proj"]),
    "correct base_model_name_or_path": _without_base,
    "its adapter does not fit its base model": _cut,
    "_config.json does not describe a LoRA": lambda run: _write_config(run, peft_type="PROMPT_TUNING"),
    "with a named base model": lambda run: _write_config(run, base_model_name_or_path=None),
    "cannot be read": lambda run: (run / "adapter_config.json").write_text("{"),
    "name the output_dir of a finished LoRA run": lambda run: (run / "adapter_model.safetensors").unlink(),
    r"no adapter \(adapter_config.json\)": lambda run: (run / "adapter_config.json").unlink(),
    "is not a folder": shutil.rmtree,
}


@pytest.mark.parametrize("told", DAMAGE)
def test_a_damaged_adapter_is_one_clear_message_and_nothing_is_written(
    told: str, tmp_path: Path, tiny_run: Path
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint-*"))
    DAMAGE[told](run)
    with pytest.raises(UserError, match=told):
        merge(run, tmp_path / "merged")
    assert {path.name for path in tmp_path.iterdir()} <= {"run"}


def test_evaluation_refuses_an_adapter_that_lacks_weights(tmp_path: Path, tiny_run: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint-*"))
    _keep_weights(run, share=0.5)
    with pytest.raises(UserError, match="does not fit its configuration or its base model: 6 are missing"):
        load_model(str(run))


def test_an_adapter_is_no_base_model(tmp_path: Path, tiny_run: Path) -> None:
    words = ["--model_name_or_path", tiny_run, "--copy_role_tokens_from", ""]
    done = run_recipe("recipes/demo.yaml", *words, "--output_dir", tmp_path / "x", *DATA)
    assert done.returncode == 2 and f"spectrum-trl merge {tiny_run} FOLDER" in done.stderr


def test_an_adapter_names_its_base_by_full_path(tmp_path: Path) -> None:
    shutil.copytree(TINY_BASE, tmp_path / "base")
    run = lora(Path("base"), tmp_path / "run", cwd=tmp_path)
    config = json.loads((run / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")


def test_an_output_that_cannot_be_written_is_told_before_anything_is_loaded(
    tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectrum_trl.models.merge.load_model", lambda *_, **__: pytest.fail("loaded"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file; name a folder"):
        merge(tiny_run, tmp_path / "file" / "merged")


def test_a_whole_model_has_nothing_to_merge(tmp_path: Path, tiny_run: Path) -> None:
    merge(tiny_run, tmp_path / "whole")
    with pytest.raises(UserError, match="nothing to merge"):
        merge(tmp_path / "whole", tmp_path / "merged")


def test_only_an_empty_folder_of_its_own_is_written_to(
    tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, current = tmp_path / "taken", tmp_path / "current"
    for folder in (taken, current):
        folder.mkdir()
    (taken / "thesis.tex").write_text("mine")
    (tmp_path / "link").symlink_to(current)
    monkeypatch.chdir(current)
    for out in (taken, taken / "thesis.tex", tiny_run, current, tmp_path, tmp_path / "link"):
        with pytest.raises(UserError, match="is not an empty folder"):
            merge(tiny_run, out)
    assert [file.name for file in taken.iterdir()] == ["thesis.tex"]
    assert not list(current.iterdir()) and not list(tmp_path.glob(".*"))


def test_what_a_killed_merge_left_does_not_stay(tmp_path: Path, tiny_run: Path) -> None:
    half = tmp_path / ".merged.unfinished" / "folder"
    half.mkdir(parents=True)
    (half / "model-00001-of-00002.safetensors").write_bytes(b"half")
    (half.parent / "lock").touch()
    merge(tiny_run, tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]
    assert not list((tmp_path / "merged").glob("model-*"))


def test_two_merges_do_not_write_to_one_folder(tmp_path: Path, tiny_run: Path) -> None:
    (tmp_path / ".merged.unfinished").mkdir()
    with (
        FileLock(tmp_path / ".merged.unfinished" / "lock"),
        pytest.raises(UserError, match="by another process"),
    ):
        merge(tiny_run, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_merge_that_is_stopped_leaves_nothing(
    tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    # The weights are written by then.
    stop = "spectrum_trl.models.merge.copy_processor"
    monkeypatch.setattr(stop, lambda *_, **__: signal.raise_signal(number))
    monkeypatch.setattr(sys, "argv", ["spectrum-trl", "merge", str(tiny_run), str(tmp_path / "merged")])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == code
    assert not list(tmp_path.iterdir())
