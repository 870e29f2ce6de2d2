"""No figure comes from a model that computes NaN."""

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
            f"example {wrong[0]}: no figure comes from them; take an earlier checkpoint"
        )


def check_logits(logits: torch.Tensor) -> None:
    """Check that logits are numbers; minus infinity, for tokens that cannot come, is one.

    Raises:
        UserError: If one is NaN, or a row has no token that can come.
    """
    if logits.isnan().any() or (logits.amax(dim=-1).isinf()).any():
        raise UserError(
            f"the model's logits are NaN or infinite in {str(logits.dtype).removeprefix('torch.')}: no "
            "figure comes from them; try --dtype float32, or an earlier checkpoint"
        )
