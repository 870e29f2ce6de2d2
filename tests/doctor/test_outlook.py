"""A recipe's outlook: steps, time, cost, what would make it fit, and real steps beside the estimate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectrum_trl.doctor.outlook import device_of, outlook
from spectrum_trl.doctor.plan import Rows
from tests.doctor.test_memory import recipe_of
from tests.processes import run_command
from tests.real_models import real_model

SMALL = "--max_sequences 6 --evaluate none --recorded= --copy_role_tokens_from=".split()


def doctor(*words: str | Path, code: int = 0) -> Any:
    done = run_command("doctor", *words, HF_HUB_OFFLINE="1")
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize(
    ("words", "processes", "steps", "tokens"),
    [
        ("--num_train_epochs 1", 1, 5, 1000),
        ("--num_train_epochs 3", 1, 15, 3000),
        ("--num_train_epochs 1 --gradient_accumulation_steps 2", 1, 3, 1000),
        ("--num_train_epochs 1", 2, 3, 1000),
        ("--max_steps 10", 1, 10, 2000),
    ],
)
def test_steps_and_tokens_follow_from_the_rows(
    tmp_path: Path, words: str, processes: int, steps: int, tokens: int
) -> None:
    once = "" if "max_steps" in words else "--max_steps -1"
    recipe = recipe_of(f"--per_device_train_batch_size 2 {words} {once}", folder=tmp_path)
    rows = Rows(np.full(10, 100), np.full(10, 40))
    device = device_of(recipe, processes=processes, memory=1)
    found = outlook(recipe, rows, processes=processes, device=device, vocab_size=0)
    assert (found.steps, found.tokens, found.trained_tokens) == (steps, tokens, 0.4 * tokens)


@pytest.mark.slow
def test_time_and_cost_follow_from_a_known_speed() -> None:
    words = ("--tokens-per-second", "100", "--price", "2", "--processes", "2", "--memory", "8", "--json")
    found = json.loads(doctor("demo", *words, *SMALL).stdout)
    assert found["hours"] == pytest.approx(found["tokens"] / 100 / 2 / 3600)
    assert found["cost"] == pytest.approx(found["hours"] * 2 * 2) and found["measured"] is None


@pytest.mark.slow
def test_what_cannot_fit_is_refused_with_changes_that_need_less_and_less() -> None:
    done = doctor("demo", "--memory", "0.1", "--json", *SMALL, code=2)
    found = json.loads(done.stdout)
    peaks = [change["peak"] for change in found["changes"]]
    assert peaks and not found["fits"] and found["changes"][0]["words"][0].startswith("--")
    assert min(peaks) < found["memory"]["peak"] and "GB" in done.stderr


def test_options_of_a_recipe_need_one() -> None:
    assert "RECIPE" in doctor("--processes", "2", code=2).stderr
    assert "learning_rate" in doctor("demo", "--learning_rat", "1", code=2).stderr


@pytest.mark.slow
def test_real_steps_of_the_tiny_model_are_measured_and_near_the_estimate() -> None:
    found = json.loads(doctor("demo", "--json", *SMALL).stdout)
    measured, estimated = found["measured"]["peak"], found["memory"]["peak"]
    assert found["measured"]["steps"] == 3 and found["hours"] > 0
    assert estimated == pytest.approx(measured, rel=0.2)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "gemma-3-270m"])
@pytest.mark.parametrize("kind", ["full", "LoRA", "QLoRA"])
@pytest.mark.parametrize("fill", [0, 1])
def test_the_estimate_of_a_real_model_is_within_a_fifth_of_the_measured_peak(
    name: str, kind: str, fill: int
) -> None:
    from tests.bench_doctor import cases

    found = cases(real_model(name).parent, rows=4, length=128)
    words = [words for (model, way, _), words in found.items() if (model, way) == (name, kind)][fill]
    result = json.loads(doctor(*words, "--json").stdout)
    assert result["memory"]["peak"] == pytest.approx(result["measured"]["peak"], rel=0.2)
