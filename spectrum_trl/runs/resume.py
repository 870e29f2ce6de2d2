"""Record what determines a run, and resume only if no setting, version, model or data that counts changed."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from accelerate import PartialState
from rich.console import Console

from spectrum_trl.console import counted
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
from spectrum_trl.models.folder import BEFORE, fingerprints, training_record
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.recipe.recipe_file import SECRETS
from spectrum_trl.runs.checkpoints import Checkpoint, step_of

PACKAGES = (
    *("spectrum-trl", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers"),
    "bitsandbytes",
)
# Only their product matters: 4 processes with 2 rows make the same step as 2 with 4, except at the end of an
# epoch whose rows cannot be divided evenly, where accelerate repeats some.
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")
# These change how long a run lasts, and what is written or logged, but never what a training step does.
MAY_CHANGE = frozenset(
    "early_stopping_patience load_best_model_at_end restore_callback_states_from_checkpoint "
    "output_dir overwrite resume_from_checkpoint resume_despite_changes max_steps num_train_epochs evaluate "
    "save_dtype data_dir ignore_missing report_to run_name project disable_tqdm log_level log_level_replica "
    "log_on_each_node use_cpu ddp_timeout ddp_backend skip_memory_metrics local_rank trackio_space_id "
    "trackio_bucket_id trackio_static_space_id dataloader_num_workers dataloader_pin_memory "
    "dataloader_persistent_workers dataloader_prefetch_factor dataset_num_proc do_train do_eval "
    "do_predict per_device_eval_batch_size".split()
)
MAY_CHANGE_PREFIXES = ("logging_", "save_", "hub_", "push_to_hub", "eval_")
OWN_DEFAULTS = {
    item.name: item.default
    for section in (DataArguments, RunArguments)
    for item in fields(section)
    if item.default is not MISSING
}


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return every effective setting as JSON values, with ``rows_per_step`` in place of its factors."""
    settings = {
        item.name: getattr(section, item.name)
        for section in (recipe.data, recipe.run, recipe.model, recipe.training)
        for item in fields(section)
        if item.name not in (*BATCH, *SECRETS)
    }
    per_device, accumulation = (getattr(recipe.training, name) for name in BATCH)
    if recipe.training.train_sampling_strategy == "group_by_length":
        # Group sizes depend on the rows of one process per step.
        settings["rows_per_step_and_process"] = per_device * accumulation
    if recipe.training.dataloader_drop_last:
        # This decides how many of an epoch's last rows are dropped.
        settings["per_device_train_batch_size"] = per_device
    settings["rows_per_step"] = per_device * accumulation * PartialState().num_processes
    plain = json.loads(json.dumps(settings, default=_plain, sort_keys=True))
    # Trainer adds the accumulation steps here, which rows_per_step already covers.
    own = (plain.get("accelerator_config") or {}).get("gradient_accumulation_kwargs") or {}
    own.pop("num_steps", None)
    return plain


def model_of(recipe: Recipe) -> dict[str, str]:
    """Return the fingerprints of the starting model; empty for a new one."""
    name = recipe.model.model_name_or_path
    return fingerprints(name, revision=recipe.model.model_revision) if name else {}


def before(recipe: Recipe) -> dict[str, Any]:
    """Return what the starting model was trained on by its own record; empty for one without."""
    name = recipe.model.model_name_or_path
    found = training_record(str(name)) if name else None
    if found is None:
        return {}
    return {BEFORE: {"data": list(found.counts.values()), "held_out_share": found.held_out_share}}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that affect a run."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def data_of(mixture: Mixture) -> dict[str, Any]:
    """Return counts and hashes of the training data."""
    held_out = [asdict(count) for count in mixture.held_out_counts]
    return {
        "data": [asdict(count) for count in mixture.counts],
        "missing": mixture.missing,
        **({"held_out": held_out} if held_out else {}),
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "value"):
        return value.value
    return vars(value) if hasattr(value, "__dict__") else str(value)


def check_settings(recipe: Recipe, checkpoint: Checkpoint) -> dict[str, list[Any]]:
    """Compare settings and versions with those of the run that wrote the checkpoint.

    Args:
        recipe: With ``resume_despite_changes``, all differences are allowed.
        checkpoint: The checkpoint to resume from.

    Returns:
        The allowed differences, for the history.

    Raises:
        UserError: With every difference that affects training.
    """
    if checkpoint.path is None:
        return {}
    if not checkpoint.record:
        raise UserError(
            f"resume_from_checkpoint: there is no record of the run beside {checkpoint.path}, so this recipe "
            "cannot be compared with it; start a new run"
        )
    step, wanted = step_of(checkpoint.path), recipe.training.max_steps
    if 0 < wanted < step:
        raise UserError(f"max_steps: {checkpoint.path} is already past step {wanted}; set {step} or more")
    now = {"settings": settings_of(recipe), "versions": versions(), "model": model_of(recipe)}
    changes = setting_changes(checkpoint.record, now)
    fixed = [name for name in changes if name not in MAY_CHANGE and not name.startswith(MAY_CHANGE_PREFIXES)]
    _refuse(recipe, checkpoint, {name: changes[name] for name in fixed})
    return changes


def check_data(recipe: Recipe, checkpoint: Checkpoint, mixture: Mixture) -> dict[str, list[Any]]:
    """Compare the training data with those of the run that wrote the checkpoint, as `check_settings` does."""
    if checkpoint.path is None:
        return {}
    changes = _data_changes(checkpoint.record, data_of(mixture))
    _refuse(recipe, checkpoint, changes)
    return changes


def _refuse(recipe: Recipe, checkpoint: Checkpoint, changes: Mapping[str, list[Any]]) -> None:
    if changes and not recipe.run.resume_despite_changes:
        raise UserError(
            *(
                f"{name} was {old!r} in the run that wrote {checkpoint.path}, but is {new!r} now"
                for name, (old, new) in changes.items()
            ),
            "Set these back to continue the run, start a new one in another output_dir, or add "
            "`--resume_despite_changes true`, which records the differences in the history.",
        )


def setting_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the settings and versions that differ, each with the old and the new value."""
    changes: dict[str, list[Any]] = {}
    for group in ("settings", "versions", "model"):
        before, after = old.get(group, {}), new.get(group, {})
        if group == "settings":
            # A run older than one of our options had its default.
            before = {name: OWN_DEFAULTS[name] for name in after if name in OWN_DEFAULTS} | before
        changes |= _differing(before, after)
    return changes


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = sorted(before.keys() | after.keys())
    pairs = {name: [before.get(name), after.get(name)] for name in names}
    return {name: [old, new] for name, (old, new) in pairs.items() if old != new}


def _data_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the tasks whose data differ, each with the old and the new number of sequences and hash."""
    kinds = {"data": "data"}
    # The best loss so far cannot be compared with losses of other data. Evaluations may begin or end.
    if "held_out" in old and "held_out" in new:
        kinds["held_out"] = "held-out data"

    def hashes(record: dict[str, Any]) -> dict[str, str]:
        return {
            f"{what} of {count['task']}": f"{counted(count['sequences'], 'sequence')}, "
            f"{counted(count['tokens'], 'token')}, sha256 {count['sha256'][:12]}"
            for key, what in kinds.items()
            for count in record.get(key, ())
        }

    return _differing(hashes(old), hashes(new))


def print_passed_over(checkpoint: Checkpoint, *, out: Console) -> None:
    """Print which newer checkpoints are broken, and which one the run resumes from."""
    for path, problem in checkpoint.passed_over.items():
        out.print(f"skipped {path}: {problem}", markup=False, style="yellow")
    if checkpoint.path:
        out.print(f"continuing from {checkpoint.path}", markup=False)
