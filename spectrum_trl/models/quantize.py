"""Skip layers that bitsandbytes dequantizes wrongly on a CPU."""

import torch
from transformers import BitsAndBytesConfig

from spectrum_trl.models.load import model_without_memory

BLOCK = 64


def for_cpu(quantization: BitsAndBytesConfig, *, name: str, revision: str = "main") -> list[str]:
    """Exclude from 4-bit quantization the matrices that a CPU would dequantize wrongly.

    The CPU kernel of bitsandbytes 0.50.2 starts a new block with each row. If the row width is not a multiple
    of the block size, weights are dequantized with the scale of another block.

    Args:
        quantization: Changed in place.
        name: Folder or Hub id of the model.
        revision: Revision of the Hub repository.

    Returns:
        The names of the matrices that are not quantized.
    """
    model = model_without_memory(name, revision=revision)
    head = model.get_output_embeddings()
    linear = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    kept = [path for path, layer in linear if layer is not head and layer.in_features % BLOCK]
    if kept:
        # A custom list replaces the default, which is the output layer.
        quantization.llm_int8_skip_modules = [*kept, *(path for path, layer in linear if layer is head)]
    return kept
