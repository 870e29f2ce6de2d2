"""Recipes train, save what stock libraries load, and exit with 2 on mistakes."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from spectrum_trl.paths import TINY_BASE, TINY_INSTRUCT, bundled
from spectrum_trl.prompts.families import template_source
from spectrum_trl.recipe.read import read_recipe
from tests.processes import ROOT, printed, run_command, run_recipe

DEMO = "recipes/demo.yaml"
TWO_STEPS = ["--max_steps", "2", "--evaluate", "none", "--use_cpu", "true", "--bf16", "false"]
# A recipe's own caps per task win over --max_sequences: a mapping replaces them.
TASKS = ["--tasks", '{"tiny_counts": {"max_sequences": 8}, "coinflip": {"max_sequences": 8}}']
SMALL = [*TWO_STEPS, *TASKS]
SHORT = ["--max_length", "256", "--per_device_train_batch_size", "1"]
ON_A_CPU = re.compile(r"^# To try it on a CPU: (.+)\n#  (.+)$", re.MULTILINE)
FOR_A_GPU = sorted(
    file for file in bundled("recipes").glob("*.yaml") if "use_cpu: true" not in file.read_text()
)


def on_a_cpu(recipe: str | Path) -> list[str]:
    """Return what a recipe's header says to add on a CPU: it switches off what needs GPUs, by name."""
    said = ON_A_CPU.search((ROOT / recipe).read_text())
    assert said, f"{recipe}: the header must say how to try it on a CPU"
    return shlex.split(" ".join(said.groups()))


def literally(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment in a fresh interpreter, as a user does."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    env.pop("SPECTRUM_DATA", None)
    words = [str(Path(sys.executable).with_name(str(command[0]))), *map(str, command[1:])]
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_the_demo_recipe_trains_by_accelerate_launch_and_saves_what_stock_transformers_loads(
    tmp_path: Path,
) -> None:
    out = tmp_path / "x"
    done = literally("accelerate", "launch", DEMO, *SMALL, "--output_dir", out)
    assert done.returncode == 0, done.stderr
    assert "tiny_counts" in done.stdout and "trained" in done.stdout
    assert not list(out.glob("*.bin")) and not list(out.glob(".*"))
    before, after = load_file(TINY_BASE / "model.safetensors"), load_file(out / "model.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    settings = GenerationConfig.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert settings.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert (settings.do_sample, settings.temperature, settings.top_p, settings.top_k) == (True, 1.0, 1.0, 0)
    provenance = json.loads((out / "provenance.json").read_text())
    assert {count["task"] for count in provenance["data"]} == {"tiny_counts", "coinflip"}
    assert all(len(count["sha256"]) == 64 for count in provenance["data"])
    assert provenance["versions"]["trl"]
    assert read_recipe(out / "recipe.yaml").training.max_steps == 2
    AutoModelForCausalLM.from_pretrained(out)


@pytest.mark.parametrize("file", FOR_A_GPU, ids=lambda file: file.stem)
def test_a_gpu_recipe_starts_on_a_cpu_with_the_tiny_base(file: Path, tmp_path: Path) -> None:
    done = run_recipe(file, *SMALL, *SHORT, *on_a_cpu(file), "--output_dir", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    assert "role tokens: the model's own" in done.stdout and "FutureWarning" not in done.stderr
    saved = "adapter_model.safetensors" if "use_peft: true" in file.read_text() else "model.safetensors"
    assert (tmp_path / "x" / saved).is_file()


def test_a_misspelt_key_on_the_command_line_exits_2_without_a_traceback(tmp_path: Path) -> None:
    done = run_recipe(DEMO, "--max_stepz", "5", "--output_dir", tmp_path / "x")
    assert done.returncode == 2
    assert "Did you mean 'max_steps'" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_plain_python_and_torchrun_run_a_recipe_too(tmp_path: Path) -> None:
    python = literally("python", DEMO, *SMALL, "--output_dir", tmp_path / "python")
    assert python.returncode == 0, python.stderr
    two = ["--standalone", "--nproc_per_node=2"]
    torchrun = literally("torchrun", *two, DEMO, *SMALL, "--output_dir", tmp_path / "torchrun")
    assert torchrun.returncode == 0, torchrun.stderr
    assert (tmp_path / "torchrun" / "model.safetensors").is_file()
    assert torchrun.stdout.count("Training data") == 1


def test_an_interrupted_run_resumes_from_its_last_checkpoint(tmp_path: Path) -> None:
    words = [*SMALL, "--output_dir", str(tmp_path / "x")]
    words += ["--save_strategy", "steps", "--save_steps", "1", "--logging_steps", "1"]
    assert run_recipe(DEMO, *words).returncode == 0
    again = run_recipe(DEMO, *words, "--max_steps", "3", "--resume_from_checkpoint", "last")
    assert again.returncode == 0, again.stderr
    state = json.loads((tmp_path / "x" / "checkpoint-3" / "trainer_state.json").read_text())
    assert [entry["step"] for entry in state["log_history"] if "loss" in entry] == [1, 2, 3]


def test_a_checkpoint_leaves_the_card_of_the_finished_model_as_it_is(tmp_path: Path) -> None:
    words = [*SMALL, "--output_dir", str(tmp_path / "x"), "--save_strategy", "steps", "--save_steps", "1"]
    assert run_recipe(DEMO, *words).returncode == 0
    card = (tmp_path / "x" / "README.md").read_bytes()
    # The first of the new steps is saved, then the run ends with an error.
    broken = ["--max_steps", "9", "--learning_rate", "1e30", "--resume_from_checkpoint", "last"]
    done = run_recipe(DEMO, *words, *broken, "--resume_despite_changes", "true")
    assert done.returncode == 2 and "diverged" in done.stderr, done.stderr
    assert (tmp_path / "x" / "checkpoint-3").is_dir()
    assert (tmp_path / "x" / "README.md").read_bytes() == card


def test_copied_role_tokens_that_an_adapter_would_lose_are_refused(tmp_path: Path) -> None:
    words = ["--lora_modules_to_save", "embed_tokens", "--output_dir", str(tmp_path / "x")]
    done = run_recipe("recipes/lora.yaml", *words, "--use_cpu", "true", "--bf16", "false")
    assert done.returncode == 2 and "lora_modules_to_save" in done.stderr
    assert not (tmp_path / "x").exists()


def test_role_tokens_are_copied_from_a_named_sibling_and_a_missing_one_is_told_before_anything_else(
    tmp_path: Path,
) -> None:
    recipe = "recipes/single_gpu.yaml"
    words = [*on_a_cpu(recipe), *SMALL, *SHORT, "--output_dir", str(tmp_path / "x")]
    absent = run_recipe(recipe, *words, "--copy_role_tokens_from", "nowhere/at-all")
    assert (absent.returncode, (tmp_path / "x").exists()) == (2, False), absent.stderr
    assert "copy_role_tokens_from: cannot load" in absent.stderr and "Training data" not in absent.stdout
    done = run_recipe(recipe, *words, "--copy_role_tokens_from", "spectrum-trl/tiny-base")
    assert done.returncode == 0, done.stderr
    copied, _ = printed(done.stdout, "role tokens")
    assert "<|im_end|>" in copied and copied.endswith("spectrum-trl/tiny-base")


def test_packing_several_rows_a_device_with_sdpa_is_refused_with_the_fix(tmp_path: Path) -> None:
    recipe = "recipes/single_gpu.yaml"
    words = [*on_a_cpu(recipe), *SMALL, "--per_device_train_batch_size", "8", "--output_dir", tmp_path / "x"]
    done = run_recipe(recipe, *words)
    assert (done.returncode, (tmp_path / "x").exists()) == (2, False), done.stderr
    assert "`gradient_accumulation_steps: 8`" in done.stderr and "Traceback" not in done.stderr


def _write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"messages": [{"role": "outptu", "content": "x"}]}', "output"),
        ("", "is empty"),
        ('{"messages": [{"role": "output", "content": "x"}]}', "loss"),
        (
            '{"messages": [{"role": "output", "content": "x"}, {"role": "output", "content": "<|im_end|>"}]}',
            "<|im_end|>",
        ),
    ],
)
def test_bad_input_is_one_clear_message_exit_2_and_nothing_written(
    tmp_path: Path, line: str, told: str
) -> None:
    file = _write(tmp_path, "own.jsonl", line)
    out = tmp_path / "x"
    done = run_recipe(DEMO, "--tasks", "", "--train_files", file, "--output_dir", out)
    assert (done.returncode, out.exists()) == (2, False), done.stderr
    assert told in done.stderr and file in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tasks", "polis_vote", "--split", "train"], "spectrum-trl data fetch polis"),
        (["--tasks", "coinflop", "--split", "train"], "Did you mean 'coinflip'"),
        (
            ["--model_name_or_path", "nowhere/at-all", "--copy_role_tokens_from", ""],
            "cannot load the tokenizer",
        ),
        (["--report_to", "flyte"], "flyte"),
        (
            ["--new_model", '{"model_type": "qwen3"}', "--copy_role_tokens_from", "spectrum-trl/tiny-base"],
            "cannot be combined with new_model",
        ),
    ],
)
def test_bad_choices_are_one_clear_message_exit_2_and_nothing_written(
    tmp_path: Path, words: list[str], told: str
) -> None:
    out = tmp_path / "x"
    done = run_recipe(DEMO, *words, "--output_dir", str(out))
    assert (done.returncode, out.exists()) == (2, False), done.stderr
    assert told in done.stderr and "Traceback" not in done.stderr


def test_a_tokenizer_without_role_tokens_is_refused(tmp_path: Path, byte_tokenizer) -> None:
    byte_tokenizer(["<pad>", "<eos>"], eos_token="<eos>", pad_token="<pad>").save_pretrained(
        tmp_path / "model"
    )
    words = ["--model_name_or_path", tmp_path / "model", "--copy_role_tokens_from", ""]
    done = run_recipe(DEMO, *words, "--output_dir", tmp_path / "x")
    assert (done.returncode, (tmp_path / "x").exists()) == (2, False), done.stderr
    assert "<|im_start|>" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_that_holds_another_run_or_other_files_is_left_alone(tmp_path: Path) -> None:
    run = {"run_files.json": '["run_files.json", "provenance.json"]', "provenance.json": "{}"}
    for files, words, told in (
        (run, [], "another run"),
        ({"thesis.tex": "mine"}, ["--overwrite", "true"], "no spectrum-trl run"),
    ):
        out = tmp_path / told.split()[0]
        out.mkdir()
        for name, text in files.items():
            (out / name).write_text(text)
        done = run_recipe("recipes/demo.yaml", *words, "--output_dir", str(out))
        assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr
        assert {file.name: file.read_text() for file in out.iterdir()} == files


def test_a_corrupt_yaml_is_one_clear_message(tmp_path: Path) -> None:
    file = _write(tmp_path, "bad.yaml", "tasks: [a\nb: {")
    done = run_command("train", file)
    assert done.returncode == 2
    assert file in done.stderr and "not valid YAML" in done.stderr and "Traceback" not in done.stderr


def test_the_tiny_model_can_be_made_again(tmp_path: Path) -> None:
    tasks = '{"tiny_records": {"max_sequences": 40}, "tiny_facts": {"max_sequences": 40}}'
    words = ["--tasks", tasks, "--new_vocab_tasks", "coinflip", "--max_steps", "2"]
    done = run_recipe("recipes/tiny_pretraining.yaml", *words, "--output_dir", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "x")
    shipped = AutoModelForCausalLM.from_pretrained(TINY_BASE)
    assert made.config.to_diff_dict().keys() == shipped.config.to_diff_dict().keys()
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(made.config, name) == getattr(shipped.config, name)
    assert made.generation_config.eos_token_id == made.config.eos_token_id == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "x")
    assert tokenizer.chat_template is None and tokenizer.eos_token == "<|endoftext|>"
    card = (tmp_path / "x" / "README.md").read_text()
    assert "plain documents" in card and "spectrum-tuning" not in card and "end of the text" in card
    code = (
        card.split("```python\n")[1]
        .split("```")[0]
        .replace('folder = "x"', f"folder = {str(tmp_path / 'x')!r}")
    )
    exec(compile(code, "card", "exec"), {})
    assert made.num_parameters() - shipped.num_parameters() == (
        (made.config.vocab_size - shipped.config.vocab_size) * made.config.hidden_size
    )


@pytest.mark.parametrize(
    ("folder", "recipe", "template"),
    # A pretrained model comes without a template.
    [(TINY_BASE, "tiny_base", None), (TINY_INSTRUCT, "tiny_instruct", "layouts/chat")],
)
def test_a_tiny_model_is_small_and_comes_from_its_recipe(
    folder: Path, recipe: str, template: str | None
) -> None:
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6
    assert not list(folder.glob("*.bin"))
    own = folder / "chat_template.jinja"
    expected = template_source(template) if template else None
    assert (own.read_text() if own.is_file() else None) == expected
    assert read_recipe(folder / "recipe.yaml").settings == read_recipe(recipe).settings


def test_other_embeddings_than_those_of_role_tokens_stay_as_they_were(tmp_path: Path) -> None:
    words = [*SMALL, "--copy_role_tokens_from", "", "--trained_embeddings", "role_tokens"]
    out = tmp_path / "x"
    done = run_recipe(DEMO, *words, "--save_dtype", "float32", "--output_dir", out)
    assert done.returncode == 0, done.stderr
    before, after = (load_file(folder / "model.safetensors") for folder in (TINY_BASE, out))
    changed = {
        name: (after[name] != before[name].float()).any(-1).nonzero()[:, 0].tolist()
        for name in ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight")
    }
    roles = AutoTokenizer.from_pretrained(out).convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert changed["model.embed_tokens.weight"] == sorted(roles)
    assert len(changed["model.layers.0.self_attn.q_proj.weight"]) > 10
