"""Estimate the memory that training a recipe takes on each device, by part, without allocating any."""

from collections import Counter
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from trl.kernels.chunked_logprob import TOKEN_CHUNK_SIZE, ChunkedLogProbFunction

from spectrum_trl.doctor.live import Live
from spectrum_trl.doctor.plan import Batch, FourBit, optimizer_bytes, planned_model
from spectrum_trl.models.load import checkpoint_dtype
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.training.model import train_rows
from spectrum_trl.training.output_layer import SCALED, _LogProbs

# Columns of a tile of TRL's output layer.
COLUMNS = 32_768
WEIGHTS, GRADIENTS, OPTIMIZER = "weights", "gradients", "optimizer state"
ACTIVATIONS, LOGITS, WORKING = "activations", "output layer", "backward pass"
GATHERED, BUCKETS = "gathered from other devices", "buckets for the exchange of gradients"
LIBRARIES, HEAP, LOADING = "libraries and data", "held by the allocator", "left from loading"
# A CPU's allocator keeps freed memory between blocks in use. This share of what the passes hold is calibrated
# on measured peaks (docs/doctor.md).
HEAP_SHARE = 0.15
IN_PASSES = (WEIGHTS, GRADIENTS, ACTIVATIONS, LOGITS, WORKING)


class Memory(NamedTuple):
    """Bytes on each device when the most are in use.

    Attributes:
        parts: Bytes by part, which add up to the peak.
        trained: Number of trained parameters.
        parameters: Number of all parameters.
        notes: What is only approximate.
    """

    parts: dict[str, int]
    trained: int
    parameters: int
    notes: list[str]

    @property
    def peak(self) -> int:
        """The sum of the parts."""
        return sum(self.parts.values())


def estimate(recipe: Recipe, batch: Batch, *, processes: int, libraries: int, vocab_size: int) -> Memory:
    """Estimate the memory of a recipe's training on each device.

    A pass forward and backward is run on tensors without contents, counting the bytes of those alive.

    Args:
        recipe: The recipe.
        batch: The largest batch of one device.
        processes: Number of processes, each with its own device.
        libraries: Bytes that the process has in use before it loads a model.
        vocab_size: Number of tokens of the tokenizer.
    """
    model = planned_model(recipe, vocab_size=vocab_size)
    training = recipe.training
    state, note = optimizer_bytes(model, training)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = _bytes(trained)
    found = {OPTIMIZER: int(state), LIBRARIES: libraries}
    sharded = bool(training.fsdp) and processes > 1
    if sharded:
        found[GATHERED] = _gathered(model, training)
        kept = {WEIGHTS: _bytes(model.parameters()), GRADIENTS: gradients}
        passed = run_passes(recipe, model, batch, without=True)
        found = {name: size // processes if name == OPTIMIZER else size for name, size in found.items()}
        found |= {name: size // processes for name, size in kept.items()}
        found |= {name: passed[name] for name in IN_PASSES[2:]}
    else:
        found |= run_passes(recipe, model, batch)
        if processes > 1:
            found[BUCKETS] = gradients
        if found[WEIGHTS] + gradients > sum(found.get(name, 0) for name in IN_PASSES):
            found |= {GRADIENTS: gradients, ACTIVATIONS: 0, LOGITS: 0, WORKING: 0}
    if training.use_cpu:
        found[HEAP] = int(HEAP_SHARE * sum(found.get(name, 0) for name in IN_PASSES[2:]))
        found[LOADING] = _left_from_loading(recipe, model)
    order = (*IN_PASSES[:2], OPTIMIZER, *IN_PASSES[2:], GATHERED, BUCKETS, HEAP, LOADING, LIBRARIES)
    parts = {name: found[name] for name in order if found.get(name)}
    return Memory(parts, sum(w.numel() for w in trained), _count(model), [note] if note else [])


def _bytes(weights: Any) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights)


def _left_from_loading(recipe: Recipe, model: torch.nn.Module) -> int:
    """Return the bytes that a quantized model leaves in use on a CPU: its file, and its weights as read.

    The layers that are not quantized stay in the mapped file, and threads that load weights keep their heaps.
    """
    if not (recipe.model.load_in_4bit or recipe.model.load_in_8bit):
        return 0
    name, revision = str(recipe.model.model_name_or_path), recipe.model.model_revision
    dtype = checkpoint_dtype(name, revision=revision) or torch.float32
    return 2 * dtype.itemsize * _count(model)


def _count(model: torch.nn.Module) -> int:
    """Return the number of parameters, of which 4-bit layers hold two in a byte."""
    layers = [layer for layer in model.modules() if isinstance(layer, FourBit)]
    hidden = sum(layer.in_features * layer.out_features - layer.weight.numel() for layer in layers)
    return sum(weight.numel() for weight in model.parameters()) + hidden


def _gathered(model: Any, training: Any) -> int:
    """Return the bytes of whole weights and gradients that FSDP holds: the outer layers and two blocks."""
    size = 2 if training.bf16 or training.fp16 else 4
    largest, inside = 0, set[int]()
    names = set(getattr(model, "_no_split_modules", None) or ())
    for layer in model.modules():
        if type(layer).__name__ in names:
            inside |= {id(weight) for weight in layer.parameters()}
            largest = max(largest, sum(weight.numel() for weight in layer.parameters()))
    outer = [weight for weight in model.parameters() if id(weight) not in inside]
    # A gradient as large as its weight exists before it is reduced to its shard.
    both = [weight.numel() * (2 if weight.requires_grad else 1) for weight in outer]
    return size * (sum(both) + 3 * largest)


def run_passes(recipe: Recipe, model: Any, batch: Batch, *, without: bool = False) -> Counter[str]:
    """Run a pass forward and backward on fake tensors, and return the bytes by part at its peak.

    Args:
        recipe: The recipe.
        model: Its planned model, which is left on fake tensors.
        batch: The batch.
        without: Compute in the type that FSDP gathers weights in, and count neither weights nor gradients.
    """
    training, live = recipe.training, Live()
    half = torch.bfloat16 if training.bf16 else torch.float16 if training.fp16 else None
    base = getattr(model, "get_base_model", lambda: model)()
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        _materialise(model)
        if without and half:
            model.to(half)
        _prepare(recipe, model)
        stack.enter_context(live)
        live.kind = WEIGHTS
        for weight in (*model.parameters(), *model.buffers()):
            live.label(weight, WEIGHTS)
        for weight in (one for one in model.parameters() if one.requires_grad):
            if training.gradient_accumulation_steps > 1:
                weight.grad = torch.empty_like(weight)
                live.label(weight.grad, GRADIENTS)
            weight.register_post_accumulate_grad_hook(lambda one: live.label(one.grad, GRADIENTS))
        ids = torch.zeros(batch.rows, batch.length, dtype=torch.long)
        live.kind = ACTIVATIONS
        with torch.autocast("cpu", half, enabled=half is not None and not without):
            hidden = base.base_model(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
            ).last_hidden_state
            live.kind = LOGITS
            loss = _score(base, hidden, batch, on_cpu=training.use_cpu)
        del hidden
        live.kind = WORKING
        loss.backward()
    # Of what autograd saved for the backward pass, fewer are left while gradients grow.
    return live.peak


def _materialise(model: torch.nn.Module) -> None:
    """Move a model from the meta device to tensors of the same sizes, shared as before."""
    new: dict[torch.nn.Parameter, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            if old not in new:
                empty = torch.empty_like(old, device="cpu")
                new[old] = torch.nn.Parameter(empty, requires_grad=old.requires_grad)
            setattr(module, name, new[old])
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty_like(buffer, device="cpu"))


def _prepare(recipe: Recipe, model: Any) -> None:
    """Set what the trainer sets on a model before its first step."""
    training = recipe.training
    model.train()
    if training.gradient_checkpointing or training.activation_checkpointing:
        model.gradient_checkpointing_enable(training.gradient_checkpointing_kwargs)
        if recipe.model.use_peft:
            model.enable_input_require_grads()
    if recipe.run.trained_embeddings == "role_tokens":
        train_rows(model, rows=[0])


def _score(model: Any, hidden: torch.Tensor, batch: Batch, *, on_cpu: bool) -> torch.Tensor:
    """Return a loss by the output layer that the trainer would use, of as many positions."""
    head, config = model.get_output_embeddings(), model.config.get_text_config()
    flat = hidden.reshape(-1, hidden.shape[-1])
    special = any(getattr(config, name, None) is not None for name in SCALED) or head.bias is not None
    some = flat[: batch.trained] if not (on_cpu and special) else flat
    targets = torch.zeros(len(some), dtype=torch.long)
    if not on_cpu:
        return _Tiled.apply(some, head.weight).sum()
    if special:
        cap = getattr(config, "final_logit_softcapping", None)
        found = ChunkedLogProbFunction.apply(
            *(some, head.weight, head.bias, targets, 1.0, COLUMNS, cap, 1.0), ("entropy", "is_top1")
        )
        return found[0].sum()
    return _LogProbs.apply(some, head.weight, targets, True)[0].sum()


class _Tiled(torch.autograd.Function):
    """Allocates what TRL's output layer does on a GPU, where its kernel reads a tile of logits in place."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
        ctx.save_for_backward(hidden, weight)
        ctx.tile = (min(len(hidden), TOKEN_CHUNK_SIZE), min(COLUMNS, len(weight))), dtype
        hidden.new_empty(ctx.tile[0], dtype=dtype)
        return hidden.new_empty(len(hidden), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        shape, dtype = ctx.tile
        # The tile and a part of the weights, while the gradients are summed in single precision.
        working = [grad.new_empty(shape, dtype=dtype)]
        sums = [
            torch.empty_like(one, dtype=torch.float32) if needed else None
            for one, needed in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=True)
        ]
        del working
        return tuple(
            None if one is None else one.to(given.dtype)
            for one, given in zip(sums, ctx.saved_tensors, strict=True)
        )
