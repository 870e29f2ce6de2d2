"""No figure comes from a model that computes NaN."""

import torch

from spectrum_trl.errors import UserError


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
