"""``spectrum-trl merge``: merge what was tuned into its base model, whole or part of the way."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spectrum_trl.errors import UserError, ended_by_sigterm


def merge(
    run: Annotated[Path, typer.Argument(help="output_dir of a LoRA or QLoRA run; with --share, of any.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must be empty or not exist.")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Number type of the saved weights. Default: the base model's."),
    ] = None,
    share: Annotated[
        float,
        typer.Option(help="How far to go from the base model to the tuned one, above 0; 1 is all the way."),
    ] = 1.0,
) -> None:
    """Merge a run's adapter into its base model, saved as a folder that any tool can load.

    With --share, the weights lie part of the way from the base model's to the tuned ones: less is learnt, and
    less forgotten.
    """
    if not 0 < share <= 1:
        raise UserError(f"--share: expected a number above 0, up to 1, but it is {share:g}")
    import torch

    from spectrum_trl.console import console
    from spectrum_trl.models.merge import merge as merge_run
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    with ended_by_sigterm():
        saved = merge_run(run, out, dtype=getattr(torch, dtype) if dtype else None, share=share)
    line = f"saved to {out} in {str(saved).removeprefix('torch.')}"
    if saved != torch.float32:
        line += "; the merged weights are rounded to it, use --dtype float32 to avoid that"
    console().print(line, markup=False)
