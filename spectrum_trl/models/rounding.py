"""Stochastic rounding of weights to bfloat16, which preserves small updates on average."""

import torch


def rounded(weight: torch.Tensor, dtype: torch.dtype, *, noise: torch.Generator) -> torch.Tensor:
    """Convert a weight to another number type, rounding stochastically to bfloat16.

    Weights of a bfloat16 checkpoint start on its grid, and a small learning rate moves most of them by less
    than half a step: rounding to nearest would undo these updates. Stochastic rounding, with probabilities
    given by the distances, preserves them on average and leaves unchanged weights exact.

    Args:
        weight: A tensor on the CPU.
        dtype: A floating-point type.
        noise: Source of randomness.
    """
    if dtype != torch.bfloat16 or weight.dtype != torch.float32:
        return weight.to(dtype)
    bits = weight.contiguous().view(torch.int32)
    lower = torch.randint(2**16, bits.shape, dtype=torch.int32, generator=noise)
    found = ((bits + lower) & -(2**16)).view(torch.float32)
    # The payload of a NaN can be in the lower bits, without which it would be an infinity.
    return found.where(weight.isfinite(), weight).to(dtype)
