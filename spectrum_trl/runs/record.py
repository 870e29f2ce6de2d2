"""What determines a run: settings, library versions and data; and how two such records differ."""

import importlib.metadata
import json
import platform
from dataclasses import MISSING, fields
from typing import Any

from accelerate import PartialState

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.models.fingerprint import fingerprints
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.recipe.recipe_file import SECRETS

RECORD = "provenance.json"
PACKAGES = (
    "spectrum-trl",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "bitsandbytes",
)
# These change how long a run goes on, and what is written or printed about it, never what a step does.
MAY_CHANGE = frozenset(
    "output_dir overwrite resume_from_checkpoint resume_despite_changes max_steps num_train_epochs evaluate "
    "save_dtype data_dir ignore_missing report_to run_name project disable_tqdm log_level log_level_replica "
    "log_on_each_node use_cpu ddp_timeout ddp_backend skip_memory_metrics local_rank trackio_space_id "
    "trackio_bucket_id trackio_static_space_id dataloader_num_workers dataloader_pin_memory "
    "dataloader_persistent_workers dataloader_prefetch_factor dataset_num_proc do_train do_eval "
    "do_predict".split()
)
MAY_CHANGE_PREFIXES = ("logging_", "save_", "hub_", "push_to_hub", "eval_")
# Only their product matters: 4 processes of 2 rows make the same step as 2 of 4, but for the end of an epoch
# whose rows cannot be shared out evenly, where accelerate repeats some.
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")


OWN_DEFAULTS = {
    item.name: item.default
    for section in (DataArguments, RunArguments)
    for item in fields(section)
    if item.default is not MISSING
}


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return every setting in force as JSON values, with ``rows_per_step`` for the fields that make it."""
    settings = {
        item.name: getattr(section, item.name)
        for section in (recipe.data, recipe.run, recipe.model, recipe.training)
        for item in fields(section)
        if item.name not in (*BATCH, *SECRETS)
    }
    per_device, accumulation = (getattr(recipe.training, name) for name in BATCH)
    if recipe.training.train_sampling_strategy == "group_by_length":
        # Its groups are as large as one process's rows of a step.
        settings["rows_per_step_and_process"] = per_device * accumulation
    if recipe.training.dataloader_drop_last:
        # Of an epoch's last rows, less than these are dropped.
        settings["per_device_train_batch_size"] = per_device
    settings["rows_per_step"] = per_device * accumulation * PartialState().num_processes
    plain = json.loads(json.dumps(settings, default=_plain, sort_keys=True))
    # Trainer writes into it how many rows are accumulated, which the batch tells already.
    own = (plain.get("accelerator_config") or {}).get("gradient_accumulation_kwargs") or {}
    own.pop("num_steps", None)
    return plain


def model_of(recipe: Recipe) -> dict[str, str]:
    """Return what identifies the starting model."""
    name = recipe.model.model_name_or_path
    return fingerprints(name, revision=recipe.model.model_revision) if name else {}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide a run."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def data_of(mixture: Mixture) -> dict[str, Any]:
    """Return counts and hashes of the training data."""
    return {"data": [count._asdict() for count in mixture.counts], "missing": mixture.missing}


def setting_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the settings and versions that differ, each with the old and the new value."""
    changes: dict[str, list[Any]] = {}
    for group in ("settings", "versions", "model"):
        before, after = old.get(group, {}), new.get(group, {})
        for name in sorted(before.keys() | after.keys()):
            # A run from before an option of ours existed had its default.
            was = before.get(name, OWN_DEFAULTS.get(name) if group == "settings" else None)
            if was != after.get(name):
                changes[name] = [was, after.get(name)]
    return changes


def data_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the tasks whose data differ, each with the old and the new number of sequences and hash."""

    def hashes(record: dict[str, Any]) -> dict[str, str]:
        return {
            count["task"]: f"{count['sequences']:,} sequences, {count['tokens']:,} tokens, "
            f"sha256 {count['sha256'][:12]}"
            for count in record.get("data", ())
        }

    before, after = hashes(old), hashes(new)
    return {
        f"data of {task}": [before.get(task), after.get(task)]
        for task in sorted(before.keys() | after.keys())
        if before.get(task) != after.get(task)
    }


def may_change(name: str) -> bool:
    """Tell whether a continued run may have another value of a setting."""
    return name in MAY_CHANGE or name.startswith(MAY_CHANGE_PREFIXES)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "value"):
        return value.value
    return vars(value) if hasattr(value, "__dict__") else str(value)
