"""What training a recipe takes: memory on each device, steps, time, cost; and what would make it fit."""

import math
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import psutil
import torch

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.doctor.health import machine_memory
from spectrum_trl.doctor.memory import Memory, estimate
from spectrum_trl.doctor.plan import Batch, Rows, largest_batch, rows_of
from spectrum_trl.errors import UserError
from spectrum_trl.recipe.fields import plain
from spectrum_trl.recipe.read import Recipe, read_recipe
from spectrum_trl.training.checks import ROLE_TOKENS, check_recipe

# What CUDA and its libraries take of a GPU; assumed, as no GPU has been measured.
CUDA_CONTEXT = 600_000_000
# Shards over more devices are another machine.
MOST_DEVICES = 8
# Without it, transformers rejects recipes in bfloat16 where there is no GPU.
ON_A_CPU = ("--use_cpu", "true")


class Device(NamedTuple):
    """What a recipe trains on.

    Attributes:
        kind: ``cpu`` or ``GPU``.
        memory: Bytes that one process may use.
        here: Whether it is this machine.
        libraries: Bytes in use before a model is loaded.
    """

    kind: str
    memory: int
    here: bool
    libraries: int


class Outlook(NamedTuple):
    """What a run will take.

    Attributes:
        device: What it trains on.
        batch: The largest batch of one device.
        memory: The estimate.
        steps: Number of optimizer steps.
        rows: Number of rows of an epoch.
        tokens: Tokens of the whole run, without padding.
        trained_tokens: Those with a label.
    """

    device: Device
    batch: Batch
    memory: Memory
    steps: int
    rows: int
    tokens: int
    trained_tokens: int

    @property
    def fits(self) -> bool:
        """Whether the estimate is within the device's memory."""
        return self.memory.peak <= self.device.memory


def read(recipe: str, words: Sequence[str], *, memory: float | None) -> Recipe:
    """Read a recipe, also one for GPUs on a machine without any; ``use_cpu`` then says where it trains.

    Args:
        recipe: Its file or name.
        words: Command-line options.
        memory: Gigabytes of each device of another machine, or None for this one.

    Raises:
        UserError: If it is not valid, or needs GPUs of which neither one is here nor the memory is named.
    """
    try:
        parsed = read_recipe(recipe, overrides=words)
        parsed.training.use_cpu = parsed.training.device.type == "cpu"
    except UserError:
        if torch.cuda.is_available():
            raise
        parsed = read_recipe(recipe, overrides=[*words, *ON_A_CPU])
        if memory is None:
            raise UserError(
                f"{recipe} is for GPUs, and torch finds none here; name the memory of each in gigabytes, for "
                "example --memory 80"
            ) from None
        parsed.training.use_cpu = False
    return parsed


def device_of(recipe: Recipe, *, processes: int, memory: float | None) -> Device:
    """Return the device that each process of a recipe would have.

    Args:
        recipe: The recipe.
        processes: Number of processes.
        memory: Gigabytes of each device of another machine, or None for this one.
    """
    own = psutil.Process().memory_info().rss
    if memory is not None:
        on_cpu = recipe.training.use_cpu
        return Device("cpu" if on_cpu else "GPU", int(memory * 1e9), False, own if on_cpu else CUDA_CONTEXT)
    if recipe.training.use_cpu:
        available, _ = machine_memory()
        return Device("cpu", (available + own) // processes, True, own)
    free = min(torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count()))
    return Device("GPU", free, True, CUDA_CONTEXT)


def outlook(recipe: Recipe, rows: Rows, *, processes: int, device: Device, vocab_size: int) -> Outlook:
    """Return what a recipe's run will take.

    Args:
        recipe: The recipe.
        rows: The rows of its data.
        processes: Number of processes.
        device: What each has.
        vocab_size: Number of tokens of the tokenizer.
    """
    training = recipe.training
    batch = largest_batch(rows, training)
    found = estimate(recipe, batch, processes=processes, libraries=device.libraries, vocab_size=vocab_size)
    batches = -(-len(rows.tokens) // (training.per_device_train_batch_size * processes))
    each = -(-batches // training.gradient_accumulation_steps)
    steps = training.max_steps if training.max_steps > 0 else math.ceil(training.num_train_epochs * each)
    epochs = steps / each
    return Outlook(
        device,
        batch,
        found,
        steps,
        len(rows.tokens),
        round(epochs * rows.tokens.sum()),
        round(epochs * rows.trained.sum()),
    )


class Change(NamedTuple):
    """A change of a recipe that needs less memory.

    Attributes:
        words: All options that are changed so far, this one last.
        peak: Bytes on each device with all of them.
        processes: Number of processes.
        fits: Whether that is enough.
    """

    words: tuple[str, ...]
    peak: int
    processes: int
    fits: bool


def changes(
    recipe: Recipe,
    mixture: Mixture,
    *,
    words: Sequence[str],
    processes: int,
    device: Device,
    vocab_size: int,
) -> Iterator[Change]:
    """Yield changes, each on top of those before, until the recipe fits; those that cost least come first.

    Args:
        recipe: The recipe.
        mixture: Its data.
        words: The options with which it was read.
        processes: Number of processes.
        device: What each has.
        vocab_size: Number of tokens of the tokenizer.
    """
    added: tuple[str, ...] = ()
    now = recipe
    for candidate in _candidates:
        more = candidate(now)
        n = processes
        if more is None:
            continue
        if more[0] == "--fsdp":
            n = min(2 * processes, MOST_DEVICES)
        try:
            changed = read(str(recipe.path), [*words, *added, *more], memory=0)
            check_recipe(changed)
        except UserError:
            continue
        added, now = (*added, *more), changed
        rows = _shortened(rows_of(changed, mixture), changed.training.max_length)
        batch = largest_batch(rows, changed.training)
        found = estimate(changed, batch, processes=n, libraries=device.libraries, vocab_size=vocab_size)
        yield Change(added, found.peak, n, found.peak <= device.memory)
        if found.peak <= device.memory:
            return


def _shortened(rows: Rows, length: int | None) -> Rows:
    if length is None:
        return rows
    return Rows(rows.tokens.clip(max=length), rows.trained.clip(max=length))


def _recompute(recipe: Recipe) -> tuple[str, ...] | None:
    on = recipe.training.activation_checkpointing or recipe.training.gradient_checkpointing
    return None if on else ("--activation_checkpointing", "true")


def _one_row(recipe: Recipe) -> tuple[str, ...] | None:
    rows, steps = recipe.training.per_device_train_batch_size, recipe.training.gradient_accumulation_steps
    if rows == 1:
        return None
    # The same number of rows in a step.
    return ("--per_device_train_batch_size", "1", "--gradient_accumulation_steps", str(rows * steps))


def _eight_bits(recipe: Recipe) -> tuple[str, ...] | None:
    training = recipe.training
    usable = (
        find_spec("bitsandbytes") and plain(training.optim).startswith("adamw_torch") and not training.fsdp
    )
    return ("--optim", "adamw_8bit") if usable else None


def _half_length(recipe: Recipe) -> tuple[str, ...] | None:
    length = recipe.training.max_length
    return ("--max_length", str(length // 2)) if length and length >= 256 else None


def _lora(recipe: Recipe) -> tuple[str, ...] | None:
    if recipe.model.use_peft or recipe.run.new_model:
        return None
    words = (
        "--use_peft",
        "true",
        "--lora_r",
        "16",
        "--lora_alpha",
        "32",
        "--lora_target_modules",
        "all-linear",
    )
    fills = any(getattr(recipe.run, name) not in (None, "none", "") for name in ROLE_TOKENS)
    whole = fills or recipe.run.trained_embeddings == "role_tokens"
    return (*words, "--lora_modules_to_save", "embed_tokens,lm_head") if whole else words


def _half_precision(recipe: Recipe) -> tuple[str, ...] | None:
    frozen = recipe.model.use_peft and recipe.model.dtype == "float32"
    return ("--dtype", "bfloat16", "--bf16", "true") if frozen else None


def _four_bits(recipe: Recipe) -> tuple[str, ...] | None:
    usable = recipe.model.use_peft and not (recipe.model.load_in_4bit or recipe.model.load_in_8bit)
    more = ("--load_in_4bit", "true", "--bnb_4bit_quant_type", "nf4")
    return more if usable and find_spec("bitsandbytes") else None


def _shards(recipe: Recipe) -> tuple[str, ...] | None:
    # accelerate shards on GPUs only.
    return None if recipe.training.use_cpu or recipe.training.fsdp else ("--fsdp", "true")


_candidates: tuple[Any, ...] = (
    *(_recompute, _one_row, _eight_bits, _half_length),
    *(_lora, _half_precision, _four_bits, _shards),
)


def measurable(recipe: Recipe, found: Outlook) -> str:
    """Return why a recipe's steps cannot be measured here, or an empty string."""
    if not found.device.here:
        return "its devices are not on this machine"
    if recipe.training.fsdp:
        return "it needs several processes to shard over"
    if not found.fits:
        return "it does not fit"
    return ""
