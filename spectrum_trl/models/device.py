"""Where, and in which number type, a model is evaluated by default."""

import torch


def evaluation_device(given: str | None = None) -> str:
    """Return the device named, or by default a GPU if there is one, else the CPU."""
    return str(given or ("cuda" if torch.cuda.is_available() else "cpu"))


def evaluation_dtype(device: str) -> str:
    """Return ``float32`` on a CPU, and ``auto``, the checkpoint's number type, elsewhere.

    Losses show the rounding of bfloat16; a GPU needs it for speed, a CPU may not.
    """
    return "float32" if device == "cpu" else "auto"
