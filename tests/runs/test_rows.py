"""A continued run trains on the rows of one that was never stopped, whatever orders them, or is refused."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import run_processes, run_recipe

Run = Callable[..., subprocess.CompletedProcess[str]]
SAMPLERS = ("random", "sequential", "group_by_length", "batch_rebalance")
SCRIPT = "tests/runs/rows.py"
# It draws random numbers between the epochs, in each process as many as its rows are long.
DROPOUT = "--use_peft true --lora_target_modules q_proj --lora_dropout 0.1"


def case(sampler: str, *, packing: bool = False, accumulation: int = 1) -> str:
    return (
        f"--train_sampling_strategy {sampler} --gradient_accumulation_steps {accumulation} "
        f"--per_device_train_batch_size {1 if packing else 4} --packing {str(packing).lower()}"
    )


def results(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, dict[str, list[int]]]]:
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("RESULTS ")[1])


def check(found: dict[str, dict[str, dict[str, list[int]]]]) -> None:
    assert {name: {s: r for s, r in of["other rows"].items() if r} for name, of in found.items()} == {
        name: {} for name in found
    }
    # Every epoch sees every row.
    assert all(of["rows of epochs"] == [of["rows of epochs"][0]] * 3 for of in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_continued_run_sees_the_rows_of_an_unbroken_one(sampler: str, tmp_path: Path) -> None:
    cases = [case(sampler, accumulation=2), case(sampler, packing=True)]
    check(results(run_recipe(SCRIPT, tmp_path, *cases)))


@pytest.mark.slow
def test_so_it_does_with_two_processes_and_no_row_is_lost_between_them(tmp_path: Path) -> None:
    cases = [case(sampler, accumulation=2) for sampler in SAMPLERS]
    check(results(run_processes(2, SCRIPT, tmp_path / "whole", *cases)))
    check(results(run_processes(2, SCRIPT, tmp_path / "lora", f"{case('group_by_length')} {DROPOUT}")))


@pytest.mark.parametrize(
    "words",
    [
        ("--ignore_data_skip", "true"),
        ("--accelerator_config", '{"use_seedable_sampler": false}'),
        ("--accelerator_config", '{"dispatch_batches": true}'),
    ],
)
def test_what_would_give_a_continued_run_other_rows_is_refused(
    words: tuple[str, ...], tiny_run: Run, tmp_path: Path
) -> None:
    done = tiny_run(tmp_path / "run", *words)
    assert done.returncode == 2 and words[0][2:] in done.stderr and not (tmp_path / "run").exists()
