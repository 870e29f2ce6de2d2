"""What counts as a change between two starts of a run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectrum_trl.data.encode import TaskCounts
from spectrum_trl.errors import UserError
from spectrum_trl.recipe.read import Recipe, read_recipe
from spectrum_trl.runs.checkpoints import NONE, Checkpoint
from spectrum_trl.runs.resume import (
    check_data,
    check_settings,
    data_of,
    model_of,
    setting_changes,
    settings_of,
    versions,
)
from tests.processes import ROOT


def test_an_option_that_did_not_exist_had_its_default() -> None:
    old = {"settings": {"seed": 0}, "versions": {}, "model": {}}
    assert setting_changes(old, {"settings": {"seed": 0, "max_sequences": None}}) == {}
    changed = setting_changes(old, {"settings": {"seed": 0, "mixture_seed": 7}})
    assert changed == {"mixture_seed": [0, 7]}


def test_settings_versions_and_model_are_compared() -> None:
    old = {"settings": {"seed": 0}, "versions": {"torch": "1"}, "model": {"x": "a"}}
    new = {"settings": {"seed": 1}, "versions": {"torch": "2"}, "model": {"x": "b"}}
    assert setting_changes(old, new) == {"seed": [0, 1], "torch": ["1", "2"], "x": ["a", "b"]}


def recipe(*words: str) -> Recipe:
    return read_recipe(str(ROOT / "recipes/demo.yaml"), overrides=["--output_dir", "runs/none", *words])


def rows(*words: str) -> dict[str, Any]:
    four = ("--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "3", "--hub_token", "hf_S")
    settings = settings_of(recipe(*four, *words))
    assert "gradient_accumulation_steps" not in settings and "hub_token" not in settings
    return {name: value for name, value in settings.items() if "rows_per" in name or "per_device_t" in name}


def test_of_rows_and_accumulation_only_the_product_counts_unless_the_parts_matter() -> None:
    random = ("--train_sampling_strategy", "random")
    grouped = ("--train_sampling_strategy", "group_by_length")
    assert rows(*random) == {"rows_per_step": 12}
    assert rows(*grouped) == {"rows_per_step": 12, "rows_per_step_and_process": 12}
    dropped = rows(*random, "--dataloader_drop_last", "true")
    assert dropped == {"rows_per_step": 12, "per_device_train_batch_size": 4}


def start_of(own: Recipe) -> dict[str, Any]:
    return {"settings": settings_of(own), "versions": versions(), "model": model_of(own)}


def test_only_what_no_training_step_depends_on_may_change() -> None:
    own = recipe("--max_steps", "8")
    last = Checkpoint(Path("checkpoint-8"), {}, [], start_of(own))
    assert check_settings(own, last) == {} == check_settings(own, NONE)
    longer = recipe("--max_steps", "9", "--logging_steps", "3", "--per_device_eval_batch_size", "1")
    changes = check_settings(longer, last)
    assert changes["max_steps"] == [8, 9] and changes.keys() == {
        "max_steps",
        "logging_steps",
        "per_device_eval_batch_size",
    }
    other = ("--max_steps", "9", "--seed", "5")
    with pytest.raises(UserError) as told:
        check_settings(recipe(*other), last)
    assert "seed was 0 in the run" in str(told.value) and "max_steps was" not in str(told.value)
    allowed = check_settings(recipe(*other, "--resume_despite_changes", "true"), last)
    assert allowed["seed"] == [0, 5] and allowed["max_steps"] == [8, 9]
    with pytest.raises(UserError, match="past step 7"):
        check_settings(recipe("--max_steps", "7"), last)


def data(sha256: str = "ab" * 32) -> Any:
    counts = [TaskCounts("coins", sequences=1200, tokens=34_567, sha256=sha256), TaskCounts("dice")]
    return SimpleNamespace(counts=counts, held_out_counts=[], missing=[])


def test_data_are_compared_by_task_numbers_and_hash() -> None:
    last = Checkpoint(Path("checkpoint-8"), {}, [], data_of(data()))
    assert check_data(recipe(), last, data()) == {} == check_data(recipe(), NONE, data())
    # Only the first digits are shown and compared.
    assert check_data(recipe(), last, data("ab" * 6 + "cd")) == {}
    allowed = recipe("--resume_despite_changes", "true")
    assert check_data(allowed, last, data("cd" * 32)) == {
        "data of coins": [
            "1,200 sequences, 34,567 tokens, sha256 abababababab",
            "1,200 sequences, 34,567 tokens, sha256 cdcdcdcdcdcd",
        ]
    }
    with pytest.raises(UserError, match="data of coins was '1,200 seq"):
        check_data(recipe(), last, data("cd" * 32))


def test_held_out_data_are_compared_only_with_those_of_an_earlier_evaluation() -> None:
    def evaluated(sha256: str) -> Any:
        held_out = [TaskCounts("coins", sequences=20, tokens=600, sha256=sha256)]
        return SimpleNamespace(**{**vars(data()), "held_out_counts": held_out})

    last = Checkpoint(Path("checkpoint-8"), {}, [], data_of(evaluated("ab" * 32)))
    assert check_data(recipe(), last, evaluated("ab" * 32)) == {} == check_data(recipe(), last, data())
    before = last._replace(record=data_of(data()))
    assert check_data(recipe(), before, evaluated("cd" * 32)) == {}
    with pytest.raises(UserError, match="held-out data of coins was '20 sequences"):
        check_data(recipe(), last, evaluated("cd" * 32))
