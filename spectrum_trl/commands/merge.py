"""``spectrum-trl merge``: an adapter and its base model as one stock folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spectrum_trl.errors import ended_by_sigterm


def merge(
    run: Annotated[Path, typer.Argument(help="output_dir of a LoRA or QLoRA run.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist or be empty.")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Number type of the saved weights. Default: the base model's own."),
    ] = None,
) -> None:
    """Merge a run's adapter into its base model, as a folder that every stock tool loads."""
    import torch

    from spectrum_trl.console import console
    from spectrum_trl.models.merge import merge as merge_adapter
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    with ended_by_sigterm():
        merge_adapter(run, out, dtype=getattr(torch, dtype) if dtype else None)
    console().print(f"saved to {out}", markup=False)
