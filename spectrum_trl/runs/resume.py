"""Resume a run only if nothing relevant changed: settings, versions, model and data."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import Any

from rich.console import Console
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import Interrupted, UserError
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import Checkpoint, step_of
from spectrum_trl.runs.record import data_of, model_of, settings_of, versions
from spectrum_trl.runs.run_folder import RunFolder

# These change how long a run lasts, and what is written or logged, but never what a training step does.
MAY_CHANGE = frozenset(
    "output_dir overwrite resume_from_checkpoint resume_despite_changes max_steps num_train_epochs evaluate "
    "save_dtype data_dir ignore_missing report_to run_name project disable_tqdm log_level log_level_replica "
    "log_on_each_node use_cpu ddp_timeout ddp_backend skip_memory_metrics local_rank trackio_space_id "
    "trackio_bucket_id trackio_static_space_id dataloader_num_workers dataloader_pin_memory "
    "dataloader_persistent_workers dataloader_prefetch_factor dataset_num_proc do_train do_eval "
    "do_predict".split()
)
MAY_CHANGE_PREFIXES = ("logging_", "save_", "hub_", "push_to_hub", "eval_")
OWN_DEFAULTS = {
    item.name: item.default
    for section in (DataArguments, RunArguments)
    for item in fields(section)
    if item.default is not MISSING
}


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
    _refuse(recipe, checkpoint, {k: v for k, v in changes.items() if not _may_change(k)})
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
        for name in sorted(before.keys() | after.keys()):
            # A run older than one of our options had its default.
            was = before.get(name, OWN_DEFAULTS.get(name) if group == "settings" else None)
            if was != after.get(name):
                changes[name] = [was, after.get(name)]
    return changes


def _data_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
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


def _may_change(name: str) -> bool:
    """Return whether a setting may change when a run is resumed."""
    return name in MAY_CHANGE or name.startswith(MAY_CHANGE_PREFIXES)


def print_passed_over(checkpoint: Checkpoint, *, out: Console) -> None:
    """Print which newer checkpoints are broken, and which one the run resumes from."""
    for path, problem in checkpoint.passed_over.items():
        out.print(f"skipped {path}: {problem}", markup=False, style="yellow")
    if checkpoint.path:
        out.print(f"continuing from {checkpoint.path}", markup=False)


@contextmanager
def explain_interrupt(folder: RunFolder) -> Iterator[None]:
    """Turn Ctrl-C into one line that says how to resume the run.

    Raises:
        Interrupted: In the main process; the others exit silently.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        # The signal arrives twice if a launcher forwards what the terminal has already sent to both.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not folder.is_main:
            raise
        if not folder.begun:
            way_on = "nothing was written yet"
        elif any(folder.path.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
            way_on = "continue from the newest checkpoint with `--resume_from_checkpoint last`"
        else:
            way_on = "it has no checkpoint to resume from; start over with `--overwrite true`"
        raise Interrupted(f"the run in {folder.path}: {way_on}") from error
