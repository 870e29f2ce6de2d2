"""What tampering, full disks, stray variables and diverged training did to runs, and does no more."""

import json
import math
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from spectrum_trl.paths import TINY_BASE
from spectrum_trl.runs.output_dir import LOCK
from spectrum_trl.runs.run_folder import FILES
from tests.processes import run_processes, run_recipe
from tests.runs.conftest import TASKS, TINY_RUN

# Runs that are stopped, damaged and continued.
pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]
LAST = ("--resume_from_checkpoint", "last")


def test_a_hub_token_is_written_into_no_record(tiny_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert tiny_run(out, "--hub_token", "hf_SECRET1").returncode == 0
    assert tiny_run(out, *LAST, "--max_steps", "5", "--hub_token", "hf_SECRET2").returncode == 0
    # Trainer's own pickles in the checkpoints hold all arguments.
    files = [file for file in out.rglob("*") if file.is_file() and file.name != "training_args.bin"]
    assert files and not [file for file in files if b"hf_SECRET" in file.read_bytes()]


def test_a_variable_left_by_another_launcher_does_not_pass_the_checks(
    finished_run: Path, tiny_run: Run
) -> None:
    before = (finished_run / "model.safetensors").read_bytes()
    done = tiny_run(finished_run, "--seed", "7", RANK="1")
    assert done.returncode == 2 and "another run" in done.stderr
    assert (finished_run / "model.safetensors").read_bytes() == before


def test_weights_that_are_not_finite_are_not_published(tiny_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = tiny_run(out, "--learning_rate", "1e30", "--warmup_steps", "0", "--save_strategy", "no")
    assert done.returncode == 2 and "training diverged" in done.stderr and "Traceback" not in done.stderr
    assert not (out / "model.safetensors").exists()


@pytest.mark.parametrize("limit", ["1", "2", "3"])
def test_a_run_that_diverges_stops_at_once_and_keeps_its_newest_finite_checkpoint(
    limit: str, finished_run: Path, tiny_run: Run
) -> None:
    out = finished_run
    words = ["--learning_rate", "1e30", "--warmup_steps", "0", "--save_steps", "1", "--max_steps", "8"]
    words += ["--resume_despite_changes", "true", "--save_total_limit", limit]
    before = (out / "checkpoint-4" / "model.safetensors").read_bytes()
    done = tiny_run(out, *LAST, *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "loss 0," not in done.stdout
    # The step that makes weights of 1e30 is finite itself.
    assert "training diverged after step 5, the last one with finite numbers: the loss is " in done.stderr
    assert f"the newest checkpoint whose weights are finite is {out}/checkpoint-5" in done.stderr
    assert (out / "checkpoint-4" / "model.safetensors").read_bytes() == before
    assert not (out / "checkpoint-6").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_checkpoints_whose_weights_are_not_finite_are_passed_over(
    value: float, finished_run: Path, tiny_run: Run
) -> None:
    weights = finished_run / "checkpoint-4" / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"][3] = value
    save_file(tensors, weights)
    done = tiny_run(finished_run, *LAST, "--max_steps", "5")
    assert done.returncode == 0 and f"continuing from {finished_run}/checkpoint-2" in done.stdout, done.stderr
    (told,) = (line for line in done.stdout.splitlines() if "checkpoint-4: " in line)
    assert "model.safetensors" in told and "NaN" in told
    named = tiny_run(finished_run, "--resume_from_checkpoint", finished_run / "set_aside" / "checkpoint-4")
    assert named.returncode == 2 and "hold NaN or infinity" in named.stderr


DIVERGES = """
import sys
import torch
from pathlib import Path
from spectrum_trl.training.trainer import ResumableTrainer
from spectrum_trl.launch import launch
what, step = sys.argv.pop(1), 3
training_step, optimizer_step = ResumableTrainer.training_step, torch.optim.AdamW.step

class Diverging(torch.autograd.Function):
    @staticmethod
    def forward(context, loss):
        return loss * (float("inf") if what == "loss" else 1)

    @staticmethod
    def backward(context, gradient):
        return gradient * (float("nan") if what == "gradient" else 1)

def compute_loss(self, *args, compute=ResumableTrainer.compute_loss, **kwargs):
    loss = compute(self, *args, **kwargs)
    return Diverging.apply(loss) if self.state.global_step == step else loss

def stepped(self, *args, **kwargs):
    optimizer_step(self, *args, **kwargs)
    stepped.n += 1
    if what == "weights" and stepped.n > step:
        self.param_groups[0]["params"][0].data[0] = float("nan")

stepped.n = 0
ResumableTrainer.compute_loss, torch.optim.AdamW.step = compute_loss, stepped
launch(str(Path.cwd() / "recipes/demo.yaml"))
"""


@pytest.mark.parametrize(("what", "last"), [("loss", 3), ("gradient", 3), ("weights", 4)])
@pytest.mark.parametrize("n", [1, 2])
def test_whatever_is_not_finite_first_stops_a_run_before_it_is_saved(
    what: str, last: int, n: int, tmp_path: Path
) -> None:
    script, out = tmp_path / "diverges.py", tmp_path / "run"
    script.write_text(DIVERGES)
    words = [what, *TASKS, *TINY_RUN, "--save_steps", "1", "--save_total_limit", "1", "--max_steps", "6"]
    done = run_processes(n, script, *words, "--output_dir", out)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"training diverged after step {last}, the last one" in done.stderr
    assert f"the newest checkpoint whose weights are finite is {out}/checkpoint-3" in done.stderr
    assert not (out / "checkpoint-4").exists() and not (out / "model.safetensors").exists()


def test_another_base_under_the_same_name_is_refused(tiny_run: Run, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "run"
    model = AutoModelForCausalLM.from_pretrained(TINY_BASE)
    model.save_pretrained(base)
    AutoTokenizer.from_pretrained(TINY_BASE).save_pretrained(base)
    words = ["--model_name_or_path", str(base), "--use_peft", "true", "--lora_target_modules", "q_proj"]
    assert tiny_run(out, *words).returncode == 0
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(0.5)
    model.save_pretrained(base)
    done = tiny_run(out, *words, *LAST, "--max_steps", "6")
    assert done.returncode == 2 and "model.safetensors of the model was" in done.stderr


def test_a_checkpoint_without_tensors_is_passed_over(finished_run: Path, tiny_run: Run) -> None:
    save_file({}, finished_run / "checkpoint-4" / "model.safetensors")
    done = tiny_run(finished_run, *LAST, "--max_steps", "5")
    assert done.returncode == 0 and "checkpoint-2" in done.stdout.split("continuing from")[1].splitlines()[0]
    assert "set aside:" in done.stdout


def test_fewer_steps_than_done_are_refused(finished_run: Path, tiny_run: Run) -> None:
    done = tiny_run(finished_run, *LAST, "--max_steps", "3")
    assert done.returncode == 2 and "past step 3" in done.stderr


def test_advice_for_a_run_without_checkpoints_leads_somewhere(tiny_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert tiny_run(out, "--save_strategy", "no").returncode == 0
    done = tiny_run(out, *LAST)
    assert done.returncode == 2 and "`--overwrite true`" in done.stderr
    assert tiny_run(out, "--overwrite", "true", "--max_steps", "1").returncode == 0


def test_an_event_after_a_truncated_one_has_its_own_line(finished_run: Path, tiny_run: Run) -> None:
    history = finished_run / "history.jsonl"
    history.write_bytes(history.read_bytes()[:20])
    assert tiny_run(finished_run, *LAST, "--max_steps", "5").returncode == 0
    assert json.loads(history.read_text().splitlines()[-1])["event"] == "resumed"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("checkpoint-4/provenance.json", '{"settings": []}'),
        ("checkpoint-4/provenance.json", '{"settings": {}, "versions": {}, "data": 5}'),
        (FILES, '["../x"]'),
        (FILES, "{"),
    ],
)
def test_a_damaged_record_is_one_clear_message(
    file: str, text: str, finished_run: Path, tiny_run: Run
) -> None:
    (finished_run / file).write_text(text)
    done = tiny_run(finished_run, *LAST, "--max_steps", "5")
    assert done.returncode == 2 and "Traceback" not in done.stderr and "Training data" not in done.stdout


def test_a_users_file_named_lock_is_not_ours(tiny_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".lock").write_text("my notes")
    assert LOCK != ".lock"
    done = tiny_run(out)
    assert done.returncode == 2 and (out / ".lock").read_text() == "my notes"


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import errno
from pathlib import Path
import spectrum_trl.runs.output_dir as output_dir
# Files larger than the limit fail as on a full disk, but with a number of their own.
output_dir.FULL_DISK = (*output_dir.FULL_DISK, errno.EFBIG)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from spectrum_trl.launch import launch
launch(str(Path.cwd() / "recipes/demo.yaml"))
"""


def test_a_full_disk_is_one_message_and_the_run_goes_on_afterwards(tiny_run: Run, tmp_path: Path) -> None:
    script, out = tmp_path / "full.py", tmp_path / "run"
    script.write_text(FULL)
    weights = os.path.getsize(TINY_BASE / "model.safetensors")
    words = ["--tasks", '{"tiny_range": {"max_sequences": 40}}', "--evaluate", "none", "--max_steps", "4"]
    words += ["--save_strategy", "steps", "--save_steps", "2", "--output_dir", str(out)]
    done = run_recipe(script, str(weights + 100_000), *words)
    assert done.returncode == 2 and "is full" in done.stderr and "Traceback" not in done.stderr
    again = tiny_run(out, "--overwrite", "true")
    assert again.returncode == 0, again.stderr
    found = load_file(out / "model.safetensors")
    assert all(math.isfinite(float(tensor.sum())) for tensor in found.values())
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
