"""A model's weights: whether finite, which layers share them, and where and in which type it is evaluated."""

from typing import cast

import torch
from transformers import PreTrainedModel

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
    """Check that every weight of a loaded model is finite; ``name`` is its folder or Hub id.

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


def shared_layers(model: PreTrainedModel) -> dict[str, list[str]]:
    """Return the layers that share their matrix with another layer, for example a tied output layer.

    A checkpoint may hold two different matrices although its configuration ties them: transformers then
    leaves them untied (https://github.com/huggingface/transformers/issues/42612).

    Args:
        model: Without an adapter; its weights may be on the meta device.

    Returns:
        For each such layer's name, the names of all layers that share its matrix, including itself.
    """
    layers: dict[torch.nn.Parameter, list[str]] = {}
    for name, layer in model.named_modules():
        for parameter in layer.parameters(recurse=False):
            layers.setdefault(parameter, []).append(name)
    return {name: names for names in layers.values() if len(names) > 1 for name in names}


def has_tied_head(model: PreTrainedModel) -> bool:
    """Return whether a model's output layer is tied to its input embedding; as for `shared_layers`."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    return head is not None and getattr(head, "weight", None) is getattr(embedding, "weight", None)


def token_matrices(model: PreTrainedModel) -> list[torch.Tensor]:
    """Return the weights of a model's embedding and of its output layer, which may be one matrix."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return [cast(torch.Tensor, layer.weight) for layer in layers]


def named_by(names: list[str], layer: str) -> bool:
    """Return whether a layer or parameter is listed, by full name or suffix, as peft matches names.

    The names are, for example, ``lora_modules_to_save``.
    """
    return any(layer == name or layer.endswith(f".{name}") for name in names)
