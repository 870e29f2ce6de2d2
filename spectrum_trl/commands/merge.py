"""``spectrum-trl merge``: merge an adapter into its base model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spectrum_trl.errors import ended_by_sigterm


def merge(
    run: Annotated[Path, typer.Argument(help="output_dir of a LoRA or QLoRA run.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must be empty or not exist.")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Number type of the saved weights. Default: the base model's."),
    ] = None,
) -> None:
    """Merge a run's adapter into its base model, saved as a folder that any tool can load."""
    import torch

    from spectrum_trl.console import console
    from spectrum_trl.models.merge import merge as merge_adapter
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    with ended_by_sigterm():
        saved = merge_adapter(run, out, dtype=getattr(torch, dtype) if dtype else None)
    line = f"saved to {out} in {str(saved).removeprefix('torch.')}"
    if saved != torch.float32:
        line += "; the merged weights are rounded to it, use --dtype float32 to avoid that"
    console().print(line, markup=False)
