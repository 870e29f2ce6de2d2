"""Round weights to bfloat16 without losing what was learnt."""

import torch


def rounded(weight: torch.Tensor, dtype: torch.dtype, *, noise: torch.Generator) -> torch.Tensor:
    """Return a weight in another number type; to bfloat16, rounded up or down at random.

    Weights of a bfloat16 checkpoint start on its grid, and a small learning rate moves most of them by less
    than half a step: rounded to the nearest, they would all go back. At random, with a chance for each end by
    its distance, what was learnt is kept on average, and a weight that did not move is exact.

    Args:
        weight: On the CPU.
        dtype: A floating-point type.
        noise: Source of randomness.
    """
    if dtype != torch.bfloat16 or weight.dtype != torch.float32:
        return weight.to(dtype)
    bits = weight.contiguous().view(torch.int32)
    lower = torch.randint(2**16, bits.shape, dtype=torch.int32, generator=noise)
    return ((bits + lower) & -(2**16)).view(torch.float32).to(dtype)
