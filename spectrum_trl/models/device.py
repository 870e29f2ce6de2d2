"""Where, and in which number type, a model is evaluated by default, and a check of its weights."""

import torch

from spectrum_trl.errors import UserError


def evaluation_device(given: str | None = None) -> str:
    """Return the device named, or by default a GPU if there is one, else the CPU."""
    return str(given or ("cuda" if torch.cuda.is_available() else "cpu"))


def evaluation_dtype(device: str) -> str:
    """Return ``float32`` on a CPU, and ``auto``, the checkpoint's number type, elsewhere.

    Losses show the rounding of bfloat16; a GPU needs it for speed, a CPU may not.
    """
    return "float32" if device == "cpu" else "auto"


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
