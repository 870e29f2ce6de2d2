"""Weights that are no numbers are neither evaluated nor written."""

import pytest
import torch

from spectrum_trl.errors import UserError
from spectrum_trl.models.weights import check_weights


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_the_weight_that_is_no_number_is_named(broken: float) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    check_weights(model, name="mine")
    with torch.no_grad():
        model[1].bias[0] = broken
    with pytest.raises(UserError, match="1 of 4 weight tensors of 'mine'.*1.bias"):
        check_weights(model, name="mine")


def test_what_a_smaller_number_type_cannot_hold_is_found_after_rounding() -> None:
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1e6)
    check_weights(model, name="mine")
    with pytest.raises(UserError, match="hold NaN or infinity"):
        check_weights(model.half(), name="mine")
