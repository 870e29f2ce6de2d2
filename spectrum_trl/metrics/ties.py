"""Values that are equal but for rounding."""

import numpy as np
from numpy.typing import NDArray


def places(values: NDArray[np.float64], *, rounding: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the values equal to each one begin and end in sorted order; their order does not matter.

    Args:
        values: Shape (n,).
        rounding: Largest difference of equal values.

    Returns:
        For each value, shape (n,), the number of smaller values, and of those not larger.
    """
    ordered = np.sort(values)
    return (
        np.searchsorted(ordered, values - rounding, side="left"),
        np.searchsorted(ordered, values + rounding, side="right"),
    )
