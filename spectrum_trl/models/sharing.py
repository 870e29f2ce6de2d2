"""Which layers share a matrix: read from the weights, because a configuration can be wrong about them."""

import torch
from transformers import PreTrainedModel


def shared_layers(model: PreTrainedModel) -> dict[str, list[str]]:
    """Return the layers whose matrix other layers have, too, for example a tied output layer.

    A checkpoint may hold two different matrices where its configuration says that they are tied: transformers
    then leaves them apart (https://github.com/huggingface/transformers/issues/42612).

    Args:
        model: Without an adapter; its weights may be on no device.

    Returns:
        For the name of each such layer, the names of all that share its matrix, itself included.
    """
    layers: dict[torch.nn.Parameter, list[str]] = {}
    for name, layer in model.named_modules():
        for parameter in layer.parameters(recurse=False):
            layers.setdefault(parameter, []).append(name)
    return {name: names for names in layers.values() if len(names) > 1 for name in names}


def has_tied_head(model: PreTrainedModel) -> bool:
    """Return whether a model's output layer is its input embedding.

    Args:
        model: Without an adapter; its weights may be on no device.
    """
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    return head is not None and getattr(head, "weight", None) is getattr(embedding, "weight", None)


def named_by(names: list[str], layer: str) -> bool:
    """Return whether names include that of a layer or parameter, whole or its end, as peft reads them.

    Args:
        names: For example of ``lora_modules_to_save``.
        layer: Its whole name.
    """
    return any(layer == name or layer.endswith(f".{name}") for name in names)
