"""The model that a recipe trains, with its adapter and types, on the meta device; and its largest batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from peft import get_peft_model
from torch import Tensor
from transformers import BitsAndBytesConfig, PreTrainedModel, Trainer
from trl import SFTConfig, get_quantization_config, pack_dataset

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.models.initialise import new_model
from spectrum_trl.models.load import BLOCK, checkpoint_dtype, for_cpu, model_without_memory
from spectrum_trl.recipe.fields import plain
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.training.model import adapter_config, other_modalities, train_in_single_precision

# Bytes of the scale of a block of 4-bit weights, and of one that is quantized itself.
SCALE, NESTED_SCALE = 4, 1 + 4 / 256
# Elements of the weights on which an optimizer is tried.
PROBES = (1024, 1024), (2048, 1024)


class Batch(NamedTuple):
    """The rows of one device between two updates of gradients.

    Attributes:
        rows: Number of rows; packed rows are joined into one.
        length: Tokens of a row, padding included.
        trained: Positions with a label.
    """

    rows: int
    length: int
    trained: int


class Rows(NamedTuple):
    """The rows that a trainer makes of a mixture.

    Attributes:
        tokens: Length of each row in tokens.
        trained: Labelled tokens of each.
    """

    tokens: np.ndarray
    trained: np.ndarray


def rows_of(recipe: Recipe, mixture: Mixture) -> Rows:
    """Return lengths and labels of a mixture's rows, packed as the recipe says."""
    training, data = recipe.training, mixture.dataset
    masked = "assistant_masks" in data.column_names
    data = data.select_columns(["input_ids", "assistant_masks"] if masked else ["input_ids"])
    if training.packing:
        data = pack_dataset(data, cast(int, training.max_length), training.packing_strategy)
    tokens = _lengths(data["input_ids"])
    trained = np.array([sum(mask) for mask in data["assistant_masks"]]) if masked else tokens - 1
    return Rows(tokens, trained)


def _lengths(rows: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([len(row) for row in rows])


def largest_batch(rows: Rows, training: SFTConfig) -> Batch:
    """Return the batch that needs the most memory: the longest rows, which padding makes equally long."""
    longest = np.argsort(-rows.tokens, kind="stable")[: training.per_device_train_batch_size]
    length, trained = int(rows.tokens[longest[0]]), int(rows.trained[longest].sum())
    if training.packing:
        return Batch(1, int(rows.tokens[longest].sum()), trained)
    multiple = int(training.pad_to_multiple_of or 1)
    return Batch(len(longest), -(-length // multiple) * multiple, trained)


class FourBit(torch.nn.Linear):
    """A linear layer with as many bytes as bitsandbytes' 4-bit one, and the same tensors in a pass."""

    def __init__(self, layer: torch.nn.Linear, *, dtype: torch.dtype, scale: float) -> None:
        """Take the sizes of a layer, the type that it computes in, and the bytes of a block's scale."""
        with torch.device("meta"):
            super().__init__(1, 1, bias=layer.bias is not None)
            self.in_features, self.out_features = layer.in_features, layer.out_features
            size = layer.weight.numel()
            packed = torch.empty(size // 2 + int(size // BLOCK * scale), dtype=torch.uint8)
        self.weight = torch.nn.Parameter(packed, requires_grad=False)
        self.bias = layer.bias
        self.compute = dtype

    def forward(self, input: Tensor) -> Tensor:
        """Return a tensor of the output's size."""
        return cast(Tensor, _Dequantized.apply(input.to(self.compute), self)).to(input.dtype)


class _Dequantized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, layer: FourBit) -> Tensor:
        ctx.layer = layer
        whole = input.new_empty(layer.out_features, layer.in_features)
        return input @ whole.T

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad @ grad.new_empty(ctx.layer.out_features, ctx.layer.in_features), None


def planned_model(recipe: Recipe, *, vocab_size: int) -> Any:
    """Return the model that the recipe trains, as its trainer prepares it, with no weights allocated.

    Args:
        recipe: The recipe.
        vocab_size: Number of tokens of the tokenizer, for a new model.
    """
    arguments = recipe.model
    name, revision = str(arguments.model_name_or_path), arguments.model_revision
    quantization = get_quantization_config(arguments)
    if recipe.run.new_model:
        with torch.device("meta"):
            model = new_model(recipe.run.new_model, vocab_size=vocab_size, seed=recipe.training.seed)
    else:
        model = model_without_memory(name, revision=revision)
        dtype = arguments.dtype
        if dtype in (None, "auto"):
            dtype = str(checkpoint_dtype(name, revision=revision) or torch.float32).removeprefix("torch.")
        model = model.to(getattr(torch, dtype))
    for part in other_modalities(model):
        model.base_model.get_submodule(part).requires_grad_(False)
    # Flash attention needs a GPU; sdpa keeps tensors of the same sizes.
    model.set_attn_implementation("eager" if arguments.attn_implementation == "eager" else "sdpa")
    if quantization:
        kept = for_cpu(quantization, name=name, revision=revision) if recipe.training.use_cpu else []
        _quantize(model, quantization, kept=kept, eight_bits=arguments.load_in_8bit)
    if adapter := adapter_config(recipe, model=model):
        model = get_peft_model(model, adapter)  # type: ignore[assignment]
        train_in_single_precision(model)
    return model


def _quantize(
    model: PreTrainedModel, settings: BitsAndBytesConfig, *, kept: list[str], eight_bits: bool
) -> None:
    """Replace the linear layers that bitsandbytes would quantize."""
    scale = NESTED_SCALE if settings.bnb_4bit_use_double_quant else SCALE
    head = model.get_output_embeddings()
    for path, layer in list(model.named_modules()):
        if isinstance(layer, torch.nn.Linear) and layer is not head and path not in kept:
            # A byte a weight is two halves; the scales of rows are negligible.
            own = BLOCK / 2 if eight_bits else scale
            model.set_submodule(path, FourBit(layer, dtype=settings.bnb_4bit_compute_dtype, scale=own))


def optimizer_bytes(model: torch.nn.Module, training: SFTConfig) -> tuple[float, str]:
    """Return the bytes of the optimizer's state for the trained weights, found by trying it on a matrix.

    Args:
        model: The planned model.
        training: The recipe's training arguments.

    Returns:
        The bytes, and a note where they are those of another optimizer; otherwise it is empty.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer, settings = Trainer.get_optimizer_cls_and_kwargs(training, cast(PreTrainedModel, model))
    if {"params", "model", "optimizer_dict"} & settings.keys():
        size = sum(8 * weight.numel() for weight in trained)
        return size, f"{plain(training.optim)} selects its weights by itself; counted as AdamW on all of them"
    # bitsandbytes keeps the states of embeddings in 32 bits: transformers asks it to.
    embeddings = [layer.weight for layer in model.modules() if isinstance(layer, torch.nn.Embedding)]
    whole = {id(weight) for weight in embeddings} if "8bit" in plain(training.optim) else set()
    total = 0.0
    for dtype in {weight.dtype for weight in trained}:
        each, fixed = _state(optimizer, settings, dtype=dtype)
        for weight in (one for one in trained if one.dtype == dtype):
            per_weight = 4 * round(each) if id(weight) in whole else each
            total += per_weight * weight.numel() + fixed
    return total, ""


def _state(optimizer: Any, settings: dict[str, Any], *, dtype: torch.dtype) -> tuple[float, float]:
    """Return the bytes of state that an optimizer keeps for each weight, and for each matrix."""
    sizes, states = [], []
    for shape in PROBES:
        probe = torch.nn.Parameter(torch.zeros(shape, dtype=dtype))
        probe.grad = torch.ones_like(probe)
        tried = optimizer([probe], **settings)
        tried.step()
        state = [one for one in tried.state[probe].values() if isinstance(one, Tensor)]
        sizes.append(probe.numel())
        states.append(sum(one.numel() * one.element_size() for one in state))
    each = (states[1] - states[0]) / (sizes[1] - sizes[0])
    return each, states[0] - each * sizes[0]
