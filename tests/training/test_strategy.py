"""FSDP is in force or refused; sharded runs equal one process; a run says how it is really spread."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from tests.messages import named
from tests.processes import printed, run_processes, run_recipe

ROWS = 8
WORDS = [
    "--model_name_or_path", "spectrum-trl/tiny-base",
    "--copy_role_tokens_from", "",
    "--tasks", '{"coinflip": {"max_sequences": 60}, "normal": {"max_sequences": 60}}',
    "--max_length", "256",
    "--max_steps", "4",
    "--save_steps", "2",
    "--learning_rate", "1e-3",
    "--per_device_train_batch_size", "1",
    "--use_cpu", "true",
]  # fmt: skip


def full_ft(n: int, out: Path, *words: str, shard: bool = True) -> subprocess.CompletedProcess[str]:
    each = ["--gradient_accumulation_steps", str(ROWS // n), "--output_dir", str(out)]
    done = run_processes(n, "recipes/full_ft.yaml", *WORDS, *each, *words, shard=shard)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def logged(done: subprocess.CompletedProcess[str], name: str) -> list[float]:
    return [float(value) for value in re.findall(rf"\b{name} ([-0-9.e]+)", done.stdout)]


@pytest.mark.slow
@pytest.mark.parametrize(("bf16", "tolerance", "processes"), [("false", 2e-5, (2, 4)), ("true", 2e-2, (4,))])
def test_sharded_full_training_equals_one_process_and_resumes_with_fewer(
    bf16: str, tolerance: float, processes: tuple[int, ...], tmp_path: Path
) -> None:
    one = full_ft(1, tmp_path / "1", "--bf16", bf16, "--fsdp", "", shard=False)
    weights = load_file(tmp_path / "1" / "model.safetensors")
    for n in processes:
        sharded = full_ft(n, tmp_path / str(n), "--bf16", bf16)
        spread, (number, *_) = printed(sharded.stdout, "processes")
        assert number == n and "FSDP2" in spread
        assert printed(sharded.stdout, "a step")[1][:4] == [ROWS, n, 1, ROWS // n]
        for name in ("loss", "grad_norm"):
            assert logged(sharded, name) == pytest.approx(logged(one, name), rel=max(tolerance, 1e-3))
        found = load_file(tmp_path / str(n) / "model.safetensors")
        assert found.keys() == weights.keys()
        for name, weight in weights.items():
            torch.testing.assert_close(found[name].float(), weight.float(), atol=tolerance, rtol=1e-2)
        AutoModelForCausalLM.from_pretrained(tmp_path / str(n))
    resumed = full_ft(
        2, tmp_path / "4", "--bf16", bf16, "--resume_from_checkpoint", f"{tmp_path}/4/checkpoint-2"
    )
    assert logged(resumed, "loss") == pytest.approx(logged(one, "loss")[2:], rel=max(tolerance, 1e-3))
    assert (tmp_path / "4" / "set_aside" / "checkpoint-4").is_dir()


@pytest.mark.parametrize("n", [1, 2])
def test_fsdp_that_is_not_in_force_is_refused_and_nothing_is_written(n: int, tmp_path: Path) -> None:
    words = [*WORDS, "--bf16", "false", "--output_dir", str(tmp_path / "x")]
    if n == 1:
        done = run_recipe("recipes/full_ft.yaml", *words)
    else:
        done = run_processes(n, "recipes/full_ft.yaml", *words)
    assert done.returncode == 2 and named(done.stderr, "sharded")
    assert done.stderr.count("error:") == 1
    assert "--fsdp false" in done.stderr and "Traceback" not in done.stderr and not (tmp_path / "x").exists()


def test_a_run_says_how_it_is_spread_in_which_precision_and_how_large_a_step_is(tmp_path: Path) -> None:
    tasks = '{"tiny_range": {"max_sequences": 40}}'
    words = ["--tasks", tasks, "--evaluate", "none", "--max_steps", "1", "--output_dir", str(tmp_path / "x")]
    words += ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2"]
    done = run_recipe("recipes/demo.yaml", *words)
    assert printed(done.stdout, "processes")[1] == [1]
    precision, _ = printed(done.stdout, "precision")
    assert precision.count("float32") == 2 and "bf16" not in precision and "adamw" in precision
    assert printed(done.stdout, "a step")[1][:4] == [16, 1, 8, 2]


@pytest.mark.parametrize("outputs_only", ["true", "false"])
def test_a_step_of_all_the_data_takes_no_more_than_there_is(tmp_path: Path, outputs_only: str) -> None:
    words = ["--tasks", '{"tiny_range": {"max_sequences": 5}}', "--evaluate", "none", "--max_steps", "1"]
    words += ["--assistant_only_loss", outputs_only, "--output_dir", str(tmp_path / "x")]
    words += ["--per_device_train_batch_size", "8"]
    done = run_recipe("recipes/demo.yaml", *words)
    assert done.returncode == 0, done.stderr
    (count,) = json.loads((tmp_path / "x" / "provenance.json").read_text())["data"]
    trained = count["trained_tokens"]
    # Rows; processes, rows of each and accumulations; sequences, tokens and trained ones.
    assert printed(done.stdout, "a step")[1] == [5, 1, 8, 1, 5, count["tokens"], trained]
    # All tokens are trained but each sequence's first, which nothing predicts.
    assert (trained >= count["tokens"] - 5) == (outputs_only == "false")


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["--max_steps", "2"], 2),
        # Three batches make two steps an epoch.
        (["--num_train_epochs", "1.5", "--gradient_accumulation_steps", "2"], 3),
        (["--num_train_epochs", "2", "--dataloader_drop_last", "true"], 4),
    ],
)
def test_the_steps_and_the_saved_number_type_that_are_announced_are_those_of_the_run(
    tmp_path: Path, words: list[str], steps: int
) -> None:
    words = ["--tasks", '{"tiny_range": {"max_sequences": 5}}', "--evaluate", "none", *words]
    words += ["--copy_role_tokens_from", "", "--per_device_train_batch_size", "2", "--logging_steps", "1"]
    done = run_recipe("recipes/demo.yaml", *words, "--output_dir", tmp_path / "x", "--save_dtype", "bfloat16")
    assert done.returncode == 0, done.stderr
    assert printed(done.stdout, "steps")[1] == [steps] and f"step {steps}/{steps}: loss" in done.stdout
    assert printed(done.stdout, "weights will be saved in")[0] == "bfloat16"
    saved = load_file(tmp_path / "x" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}


LOAD = """
import resource, sys
from pathlib import Path
from accelerate import PartialState
from spectrum_trl.models.load import load_model, load_without_weights
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.training.strategy import load_on_first_process_only, receives_weights

def resident():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024

recipe = read_recipe("recipes/full_ft.yaml", overrides=["--bf16", "false", "--use_cpu", "true"])
PartialState(cpu=True)
if sys.argv[2] == "true":
    load_on_first_process_only(recipe)
before = resident()
load = load_without_weights if receives_weights() else load_model
model = load(sys.argv[1], dtype="float32")
Path(sys.argv[3], str(PartialState().process_index)).write_text(str(resident() - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads resident memory from /proc")
def test_only_the_first_process_holds_weights_while_they_are_loaded(tmp_path: Path) -> None:
    sizes = {"hidden_size": 512, "intermediate_size": 512, "num_hidden_layers": 2, "vocab_size": 60_000}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": False}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen3", **sizes, **heads))
    model.to(torch.bfloat16).save_pretrained(tmp_path / "model")
    megabytes = sum(parameter.numel() for parameter in model.parameters()) * 4 / 2**20
    del model
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    held = {}
    for on in ("true", "false"):
        (tmp_path / on).mkdir()
        done = run_processes(2, script, str(tmp_path / "model"), on, str(tmp_path / on))
        assert done.returncode == 0, done.stderr
        held[on] = [float((tmp_path / on / str(rank)).read_text()) / megabytes for rank in range(2)]
    assert held["true"][0] > 0.8 and held["true"][1] < 0.2
    assert min(held["false"]) > 0.8


PROBE = """
from torch.distributed.fsdp import FSDPModule
from transformers import TrainerCallback
from spectrum_trl import launch
from spectrum_trl.training import train as training

class Probe(TrainerCallback):
    def on_substep_end(self, args, state, control, model=None, **_):
        held = {"sharded": 0, "whole": 0}
        for module in model.modules():
            group = module._get_fsdp_state()._fsdp_param_group if isinstance(module, FSDPModule) else None
            for parameter in group.fsdp_params if group else ():
                if parameter.sharded_param.grad is not None:
                    held["sharded"] += parameter.sharded_param.grad._local_tensor.numel()
                held["whole"] += parameter.unsharded_accumulated_grad is not None
        print("PROBE", held, flush=True)

made = training.make_trainer
def make_trainer(*args, **kwargs):
    trainer = made(*args, **kwargs)
    trainer.add_callback(Probe())
    return trainer
training.make_trainer = make_trainer
launch.launch("recipes/full_ft.yaml")
"""


def test_gradients_stay_sharded_while_they_accumulate(tmp_path: Path) -> None:
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    words = [*WORDS, "--bf16", "true", "--max_steps", "1", "--gradient_accumulation_steps", "3"]
    done = run_processes(2, script, *words, "--output_dir", str(tmp_path / "x"), shard=True)
    assert done.returncode == 0, done.stderr[-3000:]
    probes = re.findall(r"PROBE \{'sharded': (\d+), 'whole': (\d+)\}", done.stdout)
    assert len(probes) == 2 and all(int(sharded) > 0 and whole == "0" for sharded, whole in probes)
    assert printed(done.stdout, "precision")[0].split(";")[-2].endswith("bfloat16")


def test_rows_that_cannot_be_shared_out_evenly_are_told(tmp_path: Path) -> None:
    words = ["--tasks", '{"tiny_range": {"max_sequences": 5}}', "--evaluate", "none", "--max_steps", "1"]
    words += ["--per_device_train_batch_size", "2", "--output_dir", str(tmp_path / "x")]
    done = run_processes(2, "recipes/demo.yaml", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    assert printed(done.stdout, "an epoch")[1] == [5, 3]
