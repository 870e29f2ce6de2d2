"""Find layers that share a matrix, from the weights, because a configuration can be wrong about them."""

import torch
from transformers import PreTrainedModel


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
    """Return whether a model's output layer is tied to its input embedding.

    Args:
        model: Without an adapter; its weights may be on the meta device.
    """
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    return head is not None and getattr(head, "weight", None) is getattr(embedding, "weight", None)


def named_by(names: list[str], layer: str) -> bool:
    """Return whether a layer or parameter is listed, by full name or suffix, as peft matches names.

    Args:
        names: For example, ``lora_modules_to_save``.
        layer: Full name of the layer or parameter.
    """
    return any(layer == name or layer.endswith(f".{name}") for name in names)
