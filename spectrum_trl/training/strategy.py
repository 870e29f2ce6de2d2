"""The distribution strategy and precision of a run: those in force, not those requested."""

from collections import Counter
from collections.abc import Sized
from typing import cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, enable_fsdp_ram_efficient_loading
from rich.console import Console
from transformers.integrations import is_fsdp_enabled
from trl import SFTConfig, SFTTrainer

from spectrum_trl.console import counted
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
from spectrum_trl.recipe.fields import plain
from spectrum_trl.recipe.read import Recipe

NAMES = {
    DistributedType.NO: "one process",
    DistributedType.MULTI_CPU: "DDP: a whole copy of the model in every process",
    DistributedType.MULTI_GPU: "DDP: a whole copy of the model on every GPU",
}


def check_processes(recipe: Recipe) -> None:
    """Reject FSDP in a single process before anything is loaded.

    Raises:
        UserError: If the recipe sets ``fsdp``, but there are no processes to shard over.
    """
    if recipe.training.fsdp and PartialState().distributed_type == DistributedType.NO:
        raise UserError(_no_sharding(recipe, "this is a single process without torch.distributed"))


def load_on_first_process_only(recipe: Recipe) -> None:
    """Read weights only on the first rank of a node, if the recipe sets ``cpu_ram_efficient_loading``.

    ``from_pretrained`` depends on two environment variables. TrainingArguments sets one of them; the other is
    set when the trainer is created, too late: by then every rank has read all weights.
    """
    config = recipe.training.fsdp_config or {}
    if recipe.training.fsdp and isinstance(config, dict) and config.get("cpu_ram_efficient_loading"):
        enable_fsdp_ram_efficient_loading()


def receives_weights() -> bool:
    """Return whether this rank loads a model without weights, which the first rank will send."""
    return is_fsdp_enabled() and PartialState().local_process_index > 0


def check_sharding(recipe: Recipe, trainer: SFTTrainer) -> None:
    """Check that accelerate shards if the recipe requests it, because it falls back silently.

    Raises:
        UserError: If FSDP is requested but not in force.
    """
    found = trainer.accelerator.distributed_type
    if recipe.training.fsdp and found != DistributedType.FSDP:
        raise UserError(
            _no_sharding(recipe, f"accelerate chose {found.value} on {trainer.accelerator.device.type}")
        )


def describe(trainer: SFTTrainer, mixture: Mixture, *, out: Console) -> None:
    """Print processes, strategy, precision, and the size of a step of a trainer that is ready to train."""
    accelerator, args = trainer.accelerator, cast(SFTConfig, trainer.args)
    found = accelerator.distributed_type
    strategy = NAMES.get(found, found.value)
    if found == DistributedType.FSDP:
        version = getattr(accelerator.state.fsdp_plugin, "fsdp_version", 1)
        strategy = f"FSDP{version}: weights, gradients and optimizer states sharded"
    n = accelerator.num_processes
    out.print(f"[bold]processes[/]: {n} on {accelerator.device.type} ({strategy})")
    parameters = list(cast(torch.nn.Module, trainer.model).parameters())
    trained = _dtypes([parameter for parameter in parameters if parameter.requires_grad])
    frozen = _dtypes([parameter for parameter in parameters if not parameter.requires_grad])
    out.print(
        f"[bold]precision[/]: trained weights and their gradients {trained}"
        + (f"; frozen weights {frozen}" if frozen else "")
        + f"; computed in {'float32' if accelerator.mixed_precision == 'no' else accelerator.mixed_precision}"
        + _reduced(accelerator)
        + f"; optimizer {plain(args.optim)}"
    )
    in_all = len(cast(Sized, trainer.train_dataset))
    out.print(f"[bold]a step[/]: {_step(args, mixture, processes=n, in_all=in_all)}")
    # accelerate's even_batches repeats rows, because a rank without rows would leave the others waiting.
    if repeated := -in_all % (n * args.per_device_train_batch_size) if n > 1 else 0:
        out.print(
            f"[bold]an epoch[/]: {counted(in_all, 'row')}, {repeated:,} of them trained twice, so every "
            "process has the same number"
        )
    *_, steps = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    out.print(f"[bold]steps[/]: {steps:,}" + _never_saved(args, steps))


def _step(args: SFTConfig, mixture: Mixture, *, processes: int, in_all: int) -> str:
    """Return the average size of a step, given the number of processes and of all rows."""
    rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
    # Packing puts several sequences into a row; a step has no more rows than the data.
    share = min(rows / in_all, 1.0)
    sequences = share * sum(count.sequences for count in mixture.counts)
    tokens = share * sum(count.tokens for count in mixture.counts)
    trained = share * sum(count.trained_tokens for count in mixture.counts)
    each = "1 process" if processes == 1 else f"{processes} processes"
    shape = (
        f"{each} x {counted(args.per_device_train_batch_size, 'row')} x {args.gradient_accumulation_steps}"
    )
    return (
        f"{counted(min(rows, in_all), 'row')} ({shape} accumulated), on average "
        f"{counted(round(sequences), 'sequence')}, {counted(round(tokens), 'token')}, "
        f"{trained:,.0f} of them trained"
    )


def _never_saved(args: SFTConfig, steps: int) -> str:
    """Return a note if a run ends before its first checkpoint, else an empty string."""
    if args.save_strategy != "steps" or not 1 <= args.save_steps or args.save_steps <= steps:
        return ""
    return f", fewer than save_steps ({args.save_steps:g}): no checkpoint will be saved before the end"


def _reduced(accelerator: Accelerator) -> str:
    """Return a note on the precision in which sharded gradients are reduced across ranks."""
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    dtype = getattr(getattr(plugin, "mixed_precision_policy", None), "reduce_dtype", None)
    return f"; gradients reduced across ranks in {str(dtype).removeprefix('torch.')}" if dtype else ""


def _dtypes(parameters: list[torch.nn.Parameter]) -> str:
    counts: Counter[str] = Counter()
    for parameter in parameters:
        counts[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    return " and ".join(name for name, _ in counts.most_common())


def _no_sharding(recipe: Recipe, found: str) -> str:
    return (
        f"{recipe.path}: fsdp is on, but {found}, so nothing would be sharded. Use several GPUs "
        "(accelerate launch --num_processes N), or turn it off with `--fsdp false`"
    )
