"""Resume a run only if nothing relevant changed: settings, versions, model and data."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import Interrupted, UserError
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import Checkpoint, step_of
from spectrum_trl.runs.record import (
    data_changes,
    data_of,
    may_change,
    model_of,
    setting_changes,
    settings_of,
    versions,
)
from spectrum_trl.runs.run_folder import RunFolder


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
    _refuse(recipe, checkpoint, {k: v for k, v in changes.items() if not may_change(k)})
    return changes


def check_data(recipe: Recipe, checkpoint: Checkpoint, mixture: Mixture) -> dict[str, list[Any]]:
    """Compare the training data with those of the run that wrote the checkpoint, as `check_settings` does."""
    if checkpoint.path is None:
        return {}
    changes = data_changes(checkpoint.record, data_of(mixture))
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
