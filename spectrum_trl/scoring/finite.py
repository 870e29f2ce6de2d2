"""Refuse logits that are NaN or infinite, so no score is computed from them."""

import torch

from spectrum_trl.errors import UserError


def check_logits(logits: torch.Tensor) -> None:
    """Check that logits are numbers; minus infinity marks an impossible token and is allowed.

    Raises:
        UserError: If one is NaN or infinite, or every token of a row is impossible.
    """
    if logits.isnan().any() or (logits.amax(dim=-1).isinf()).any():
        raise UserError(
            f"the model's logits are NaN or infinite in {str(logits.dtype).removeprefix('torch.')}, so "
            "nothing can be scored; try --dtype float32, or an earlier checkpoint"
        )
