"""Refuse packing where sequences would see each other."""

from trl import SFTConfig

from spectrum_trl.errors import UserError

# These read sequence boundaries from position ids (flash) or from the mask that transformers makes of them;
# tests/test_packing.py compares packed with separate logits for those that run on a CPU.
SEPARATING = (
    "sdpa",
    "eager",
    "flex_attention",
    "flash_attention_2",
    "flash_attention_3",
    "flash_attention_4",
)
# Layers that carry a state along the row and keep it at a boundary.
RECURRENT = ("mamba", "linear_attention", "recurrent", "conv")


def check_packing(training: SFTConfig, *, config: object, attention: str) -> None:
    """Check that packed sequences are kept apart.

    Args:
        training: TRL's arguments.
        config: The model's text configuration.
        attention: Name of the attention implementation that the model uses.

    Raises:
        UserError: If packing is on and would leak, or would cut through an output.
    """
    if not training.packing:
        return
    problems = []
    if training.packing_strategy != "bfd":
        problems.append(
            f"packing_strategy: {training.packing_strategy!r} cuts through outputs and lets sequences see "
            "each other; use 'bfd'."
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
            f"packing: the model has layers ({', '.join(sorted(layers))}) whose state runs on into the next "
            "sequence; set `packing: false`."
        )
    if problems:
        raise UserError(*problems)
