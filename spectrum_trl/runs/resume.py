"""Resume a run only if nothing relevant changed: settings, versions, model and data."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
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


def check_settings(recipe: Recipe, checkpoint: Checkpoint) -> dict[str, list[Any]]:
    """Compare settings and versions with those of the run that wrote the checkpoint.

    Args:
        recipe: Whose ``resume_despite_changes`` lets differences pass.
        checkpoint: To go on from.

    Returns:
        The differences that may be, for the history.

    Raises:
        UserError: With every difference that changes the run.
    """
    if checkpoint.path is None:
        return {}
    if not checkpoint.record:
        raise UserError(
            f"resume_from_checkpoint: there is no record of the run beside {checkpoint.path}, so it is "
            "impossible to tell whether this recipe continues it; start a new run"
        )
    step, wanted = step_of(checkpoint.path), recipe.training.max_steps
    if 0 < wanted < step:
        raise UserError(f"max_steps: {checkpoint.path} is past step {wanted} already; give it {step} or more")
    now = {"settings": settings_of(recipe), "versions": versions(), "model": model_of(recipe)}
    changes = setting_changes(checkpoint.record, now)
    _refuse(recipe, checkpoint, {k: v for k, v in changes.items() if not may_change(k)})
    return changes


def check_data(recipe: Recipe, checkpoint: Checkpoint, mixture: Mixture) -> dict[str, list[Any]]:
    """Compare the training data with those of the run that wrote the checkpoint; as `check_settings`."""
    if checkpoint.path is None:
        return {}
    changes = data_changes(checkpoint.record, data_of(mixture))
    _refuse(recipe, checkpoint, changes)
    return changes


def _refuse(recipe: Recipe, checkpoint: Checkpoint, changes: Mapping[str, list[Any]]) -> None:
    if changes and not recipe.run.resume_despite_changes:
        raise UserError(
            *(
                f"{name} was {old!r} in the run that wrote {checkpoint.path}, and is {new!r} now"
                for name, (old, new) in changes.items()
            ),
            "Set these back to continue the run, start a new one in another output_dir, or add "
            "`--resume_despite_changes true`, which notes the differences in the history.",
        )


def print_passed_over(checkpoint: Checkpoint, *, out: Console) -> None:
    """Say which newer checkpoints are broken, and where the run goes on."""
    for path, problem in checkpoint.passed_over.items():
        out.print(f"passed over {path}: {problem}", markup=False, style="yellow")
    if checkpoint.path:
        out.print(f"continuing from {checkpoint.path}", markup=False)
