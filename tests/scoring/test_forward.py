"""No figure comes from logits that are not numbers; tokens that cannot come are no fault."""

import math

import pytest
import torch

from spectrum_trl.errors import UserError
from spectrum_trl.scoring.forward import check_logits


@pytest.mark.parametrize("row", [[0.0, 1.0], [-math.inf, 1.0], [-3e38, 3e38]])
def test_tokens_that_cannot_come_are_no_fault(row: list[float]) -> None:
    check_logits(torch.tensor([[0.0, 0.0], row]))


@pytest.mark.parametrize(
    "row", [[math.nan, 0.0], [math.inf, 0.0], [math.inf, -math.inf], [-math.inf, -math.inf]]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_infinity_and_a_row_without_a_token_that_can_come_are_refused(
    row: list[float], dtype: torch.dtype
) -> None:
    with pytest.raises(UserError, match=f"NaN or infinite in {str(dtype).removeprefix('torch.')}"):
        check_logits(torch.tensor([[0.0, 0.0], row], dtype=dtype))
