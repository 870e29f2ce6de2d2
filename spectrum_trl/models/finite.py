"""No model holds NaN or infinity, neither one that is evaluated nor one that is written."""

import torch

from spectrum_trl.errors import UserError


def check_weights(model: torch.nn.Module, *, name: str) -> None:
    """Check that every weight is a number.

    Args:
        model: Loaded.
        name: Its folder or Hub id.

    Raises:
        UserError: If a weight is NaN or infinite.
    """
    every = [(key, weight) for key, weight in model.named_parameters() if weight.is_floating_point()]
    wrong = [key for key, weight in every if not weight.is_meta and not weight.isfinite().all()]
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(every)} tensors of the weights of {name!r} hold NaN or infinity, for "
            f"example {wrong[0]}: nothing is made of them; take an earlier checkpoint, or another number type"
        )
