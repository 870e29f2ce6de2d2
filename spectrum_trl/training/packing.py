"""Reject packing if sequences would attend to each other, or if it is slower than no packing."""

from trl import SFTConfig

from spectrum_trl.errors import UserError, refuse

# These read sequence boundaries from position ids (flash) or from the mask that transformers makes of them;
# tests/training/test_packing.py compares packed and separate logits for those that run on a CPU.
SEPARATING = (
    "sdpa",
    "eager",
    "flex_attention",
    "flash_attention_2",
    "flash_attention_3",
    "flash_attention_4",
)
# A batch of packed rows becomes one long row, for which these build a mask quadratic in its length. At batch
# size 8 that is several times slower than no packing (docs/benchmarks.md).
DENSE_MASK = ("sdpa", "eager")
# Layers with a state that is carried across sequence boundaries.
RECURRENT = ("mamba", "linear_attention", "recurrent", "conv")


def check_packing(training: SFTConfig, *, config: object, attention: str) -> None:
    """Check that packed sequences do not attend to each other, and that packing saves time.

    Args:
        training: TRL's arguments.
        config: The model's text configuration.
        attention: Name of the attention implementation that the model uses.

    Raises:
        UserError: If packing would leak between sequences, cut through an output, or slow training down.
    """
    if attention == "flex_attention" and training.use_cpu:
        raise UserError(
            "attn_implementation: PyTorch has no backward pass of flex_attention for the CPU; set "
            "`attn_implementation: sdpa` (with packing, also `per_device_train_batch_size: 1`)."
        )
    if not training.packing:
        return
    problems = []
    rows, steps = training.per_device_train_batch_size, training.gradient_accumulation_steps
    if attention in DENSE_MASK and rows > 1:
        problems.append(
            f"packing: attention {attention!r} joins a batch of {rows} packed rows into one with a mask "
            "quadratic in its length, which is slower than no packing; set `per_device_train_batch_size: 1` "
            f"and `gradient_accumulation_steps: {rows * steps}`, or an attn_implementation that reads "
            "sequence boundaries (flash_attention_2, or flex_attention on a GPU), or `packing: false`."
        )
    if training.packing_strategy != "bfd":
        problems.append(
            f"packing_strategy: {training.packing_strategy!r} cuts through outputs and lets sequences attend "
            "to each other; use 'bfd'."
        )
    if not any(name in attention for name in SEPARATING) and not attention.startswith("kernels-community/"):
        problems.append(
            f"packing: attention {attention!r} is not known to keep packed sequences apart; set "
            "`attn_implementation: sdpa` or flash_attention_2, or `packing: false`."
        )
    layers = {
        kind for kind in getattr(config, "layer_types", None) or () for name in RECURRENT if name in kind
    }
    if layers:
        problems.append(
            f"packing: the model has layers ({', '.join(sorted(layers))}) whose state carries over into the "
            "next sequence; set `packing: false`."
        )
    refuse(problems)
