"""What stays out of 4 bits on a CPU is what bitsandbytes would read back wrong there, and nothing else."""

import torch
from bitsandbytes import functional
from bitsandbytes.nn import Linear4bit
from transformers import BitsAndBytesConfig

from spectrum_trl.models.load import for_cpu, load_model
from spectrum_trl.paths import TINY_BASE_NAME


def test_every_matrix_in_4_bits_reads_back_as_it_was_but_for_rounding() -> None:
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    kept = for_cpu(quantization, name=TINY_BASE_NAME)
    whole = load_model(TINY_BASE_NAME)
    model = load_model(TINY_BASE_NAME, quantization_config=quantization, device_map={"": "cpu"})
    quantized = {name: layer for name, layer in model.named_modules() if isinstance(layer, Linear4bit)}
    assert len(kept) == 18 and quantized.keys() == {f"model.layers.{i}.mlp.down_proj" for i in range(3)}
    for name, layer in quantized.items():
        read = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        original = whole.get_submodule(name).weight
        assert (read - original).norm() < 0.12 * original.norm()
    with torch.no_grad():
        model.eval()(torch.arange(20)[None])
