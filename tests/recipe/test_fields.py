"""Values out of range are refused before anything is read or written, with their place."""

import ast
import os
from dataclasses import fields
from pathlib import Path

import pytest

import spectrum_trl
from spectrum_trl.errors import UserError
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.fields import RANGES, TYPES, known_fields
from spectrum_trl.recipe.read import read_recipe

MINIMAL = "model_name_or_path: spectrum-trl/tiny-base\ntasks: [tiny_counts]\nuse_cpu: true\nbf16: false\n"

WRONG = [
    ("per_device_train_batch_size", "0", "greater than or equal to 1"),
    ("gradient_accumulation_steps", "-4", "greater than or equal to 1"),
    ("max_length", "0", "greater than or equal to 1"),
    ("max_sequences", "-1", "greater than or equal to 1"),
    ("max_sequences", "2.5", "whole number|valid integer"),
    ("max_steps", "0", "positive number of steps"),
    ("max_steps", "true", "expected a whole number"),
    ("num_train_epochs", "0", "greater than 0"),
    ("learning_rate", ".nan", "finite"),
    ("learning_rate", "-1", "greater than 0"),
    ("learning_rate", ".inf", "finite"),
    ("weight_decay", "1e999", "finite"),
    ("warmup_steps", "-1", "greater than or equal to 0"),
    ("adam_beta2", "1.0", "less than 1"),
    ("lora_dropout", "-.1", "greater than or equal to 0"),
    ("description_probability", "1.5", "less than or equal to 1"),
    ("seed", "-1", "greater than or equal to 0"),
    ("data_seed", "4294967296", "less than or equal to 4294967295"),
    ("mixture_seed", "-3", "greater than or equal to 0"),
    ("logging_steps", "0", "greater than 0"),
    ("save_steps", "1.5", "whole number of steps"),
    ("save_strategy", "bset", "Did you mean 'best'"),
    ("save_strategy", "best", "`best` needs `eval_strategy: steps`"),
    ("save_strategy", "yes", "but it is true"),
    ("eval_strategy", "epoch", "nothing is held out to evaluate on; add `held_out_share: 0.1`"),
    ("report_to", "wandbb", "Did you mean 'wandb'"),
    ("report_to", "[none, wandb]", "contradict"),
    ("lr_scheduler_type", "cosin", "Did you mean 'cosine'"),
    ("lr_scheduler_kwargs", "{min_lrr: 1}", "schedule linear"),
    ("optim", "adamm", 'expected "adamw_torch"'),
    ("dtype", "bf16", "Did you mean 'bfloat16'"),
    ("split", "[trian]", "Did you mean 'train'"),
    ("split", "[]", "at least one"),
    ("run_name", "2026-01-01", "put it in quotes"),
    ("lr_scheduler_kwargs", "{a: 2026-01-01}", "put it in quotes"),
    ("lr_scheduler_kwargs", "{a: [.nan]}", "finite"),
    ("seed", "0x" + "f" * 9000, "it is larger"),
    ("run_name", '"a\\0b"', "cannot be encoded"),
    ("fsdp_config", "{versoin: 2}", "but found versoin"),
    ("fsdp_config", "{version: 3}", "version to be 1 or 2, but it is 3"),
    ("fsdp_config", "{state_dict_type: nonsense}", '"SHARDED_STATE_DICT".*but it is "nonsense"'),
    ("fsdp_config", "{fsdp_activation_checkpointing: [1]}", "activation_checkpointing to be .*boolean"),
    ("fsdp_config", "{reshard_after_forward: full_shard}", "reshard_after_forward to be .*boolean"),
    ("fsdp_config", "{forward_prefetch: true}", "forward_prefetch.*version 1"),
    ("fsdp_config", "fsdp.json", "expected a valid mapping"),
    ("fsdp_config", "{version: 2}", "`fsdp: true`"),
    ("train_on", "first\nlayout: text", "`layout: text`"),
    ("evaluate", "tiny\nlayout: chat", "`layout: chat`"),
    ("copy_role_tokens_from", "x/y\nlayout: text", "`layout: text`"),
    ("eos_token", "<x>\nlayout: text", "`layout: text`"),
    ("fsdp", "sometimes", "sometimes"),
    ("accelerator_config", "{x: 1}", "accelerator_config: .*'x'"),
    ("new_model", "{model_type: qwen33}", "Did you mean 'qwen3'"),
    ("new_model", "{model_type: qwen3, hidden_size: many}", "no model can be created from it"),
    ("new_vocab_size", "10", "greater than or equal to 259"),
    ("chat_template_path", "x.jinja", "chosen by the tokenizer"),
    ("lora_r", "8", "use_peft"),
    ("load_in_4bit", "true", "use_peft"),
    ("use_dora", "true", "`use_peft: true`"),
    ("use_rslora", "true", "`use_peft: true`"),
    ("bnb_4bit_quant_type", "fp4", "`load_in_4bit: true`"),
    ("use_bnb_nested_quant", "true", "`load_in_4bit: true`"),
    ("truncation_mode", "keep_start", "loses whole turns at its end"),
    ("dataset_text_field", "text", "remove it"),
    ("eval_packing", "true", "held-out sequences are not packed"),
    ("eval_steps", "5", "`eval_strategy: steps`"),
    ("eval_tasks", "[flight]", "`eval_strategy: steps`"),
    ("eval_max_sequences", "5", "`eval_strategy: steps`"),
    ("eval_tasks", "{flight: {max_sequences: 0}}", "greater than or equal to 1"),
    ("early_stopping_patience", "0", "greater than or equal to 1"),
    (
        "early_stopping_patience",
        "2\neval_strategy: steps\neval_steps: 5\nheld_out_share: 0.1",
        "`load_best_model_at_end: true`",
    ),
    ("held_out_share", "10", "less than or equal to 0.5"),
    ("hub_model_id", "me/mine", "hf upload"),
    ("lora_r", "99999999999", "less than or equal to 65536"),
    ("neftune_noise_alpha", "1.0e+308", "less than or equal to 1000"),
    ("train_files", "{a.jsonl: {max_sequences: true}}", "max_sequences: .*number.*true"),
    ("train_files", "[a.jsonl, ./a.jsonl]", "once.* ./a.jsonl .* a.jsonl"),
    ("torch_dtype", "bfloat16", "Use dtype"),
    ("max_seq_length", "10", "Use max_length"),
    ("group_by_length", "true", "Use train_sampling_strategy: group_by_length"),
    ("warmup_ratio", "0.1", "Use warmup_steps"),
    ("lora_task_type", "SEQ_CLS", 'expected "CAUSAL_LM"'),
    ("bnb_4bit_quant_storage", "int3", 'expected "uint8"'),
    ("torch_compile_backend", "inducter", "Did you mean 'inductor'"),
    ("torch_compile_mode", "fast", 'expected "default"'),
    ("completion_only_loss", "true", "assistant_only_loss"),
    ("packing", "true\nmax_length: null", "needs max_length"),
    ("pad_token", "<pad>", "chosen with the template"),
    ("pad_to_multiple_of", "1000000", "less than or equal to 65536"),
    ("logging_steps", "9" * 400, "finite|larger"),
    ("activation_offloading", "true", "has no effect on a CPU"),
    ("dataloader_persistent_workers", "true", "dataloader_num_workers"),
    ("dataloader_num_workers", "100000", "less than or equal to 1024"),
    ("tf32", "true", "tf32"),
    ("push_to_hub", "true", "never the trained model"),
    ("train_files", "{a.jsonl: {weight: 1.0e-300}}", "greater than or equal to 0.001"),
]


@pytest.mark.parametrize(("field", "value", "told"), WRONG, ids=[f"{f}={v[:20]}" for f, v, _ in WRONG])
def test_a_wrong_value_is_refused_with_its_line(tmp_path: Path, field: str, value: str, told: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(f"{MINIMAL}output_dir: {tmp_path}/x\n{field}: {value}\n")
    with pytest.raises(UserError, match=told) as caught:
        read_recipe(file)
    assert any(
        problem.startswith((f"{file}, line 6: {field}", f"{file}, line 6: unknown key '{field}'"))
        for problem in caught.value.problems
    )
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


def test_what_is_switched_off_by_name_may_keep_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    text = "use_peft: true\nload_in_4bit: true\nbnb_4bit_quant_type: fp4\nuse_dora: true\nfsdp: true\n"
    file.write_text(f"{MINIMAL}output_dir: {tmp_path}/x\n{text}fsdp_config: {{version: 2}}\n")
    read_recipe(file)
    off = ["--use_peft", "false", "--load_in_4bit", "false", "--fsdp", "false"]
    assert not read_recipe(file, overrides=off).training.fsdp


def test_keys_of_the_first_version_of_fsdp_are_known_there(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    config = (
        "{version: 1, forward_prefetch: true, reshard_after_forward: full_shard, fsdp_use_orig_params: true}"
    )
    file.write_text(f"{MINIMAL}output_dir: {tmp_path}/x\nfsdp: true\nfsdp_config: {config}\n")
    assert read_recipe(file).settings["fsdp_config"]["forward_prefetch"] is True


def test_wrong_values_of_file_and_command_line_are_told_together(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(MINIMAL + "output_dir: x\nseed: -1\nmax_steps: 0\n")
    with pytest.raises(UserError) as caught:
        read_recipe(file, overrides=["--learning_rate", "nan", "--max-length", "-3"])
    assert [problem.removeprefix(f"{file}, ").split(": ")[:2] for problem in caught.value.problems] == [
        ["line 6", "seed"],
        ["line 7", "max_steps"],
        ["command line", "--learning_rate"],
        ["command line", "--max_length"],
    ]


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("r.yaml/x", "is a file"),
        ("r.yaml", "is a file"),
        ("x" * 300, "too long"),
        ("", "missing"),
        (" ", "missing"),
        (None, "missing"),
    ],
)
def test_an_output_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, folder: str | None, told: str
) -> None:
    file = tmp_path / "r.yaml"
    path = tmp_path / folder if folder and folder.strip() else folder
    line = "" if path is None else f"output_dir: '{path}'\n"
    file.write_text(MINIMAL + line)
    with pytest.raises(UserError, match=told):
        read_recipe(file)


def test_an_output_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        # Root may write anywhere; a read-only file system is the one thing that stops it.
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        folder = next((m[1] for m in mounts if "ro" in m[3].split(",") and Path(m[1]).is_dir()), None)
        if folder is None:
            pytest.skip("root, and no read-only file system")
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        folder = str(tmp_path / "locked")
    file = tmp_path / "r.yaml"
    file.write_text(f"{MINIMAL}output_dir: {folder}/x\n")
    with pytest.raises(UserError, match="cannot be written"):
        read_recipe(file)


@pytest.mark.parametrize("text", ["save_strategy: no\n", 'save_strategy: "no"\n', "eval_strategy: no\n"])
def test_a_bare_no_is_what_it_says(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(f"{MINIMAL}output_dir: {tmp_path}/x\n{text}")
    recipe = read_recipe(file)
    assert recipe.settings[text.split(":")[0]] == "no"


def test_no_tracker_may_be_written_as_null(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(f"{MINIMAL}output_dir: {tmp_path}/x\nreport_to: null\n")
    assert read_recipe(file).training.report_to == []


def test_every_number_of_our_own_has_a_range() -> None:
    for section in (DataArguments, RunArguments):
        for item in fields(section):
            if {int, float} & known_fields()[item.name].kinds:
                assert item.name in RANGES or item.name in TYPES, item.name


def test_every_field_of_ours_is_read_somewhere() -> None:
    read = {
        node.attr
        for file in Path(spectrum_trl.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    ours = {one.name for kind in (DataArguments, RunArguments) for one in fields(kind)}
    assert len(ours) > 20 and ours <= read, ours - read
