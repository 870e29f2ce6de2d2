"""Reject weights that contain NaN or infinity before a model is evaluated or saved."""

import torch

from spectrum_trl.errors import UserError


def check_weights(model: torch.nn.Module, *, name: str) -> None:
    """Check that every weight is finite.

    Args:
        model: The loaded model.
        name: Its folder or Hub id.

    Raises:
        UserError: If a weight is NaN or infinite.
    """
    every = [(key, weight) for key, weight in model.named_parameters() if weight.is_floating_point()]
    wrong = [key for key, weight in every if not weight.is_meta and not weight.isfinite().all()]
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(every)} weight tensors of {name!r} hold NaN or infinity, for example "
            f"{wrong[0]}; use an earlier checkpoint or another number type"
        )
