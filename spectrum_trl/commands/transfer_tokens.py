"""``spectrum-trl transfer-tokens``: give a base model the role tokens of its instruct sibling."""

from pathlib import Path
from typing import Annotated

import typer

from spectrum_trl.errors import ended_by_sigterm


def transfer_tokens(
    base: Annotated[str, typer.Argument(help="Folder or Hub id of the base model.")],
    instruct: Annotated[str, typer.Argument(help="Folder or Hub id of its instruct sibling.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must be empty or not exist.")],
    revision: Annotated[str, typer.Option(help="Revision of the base model's repository.")] = "main",
) -> None:
    """Write a base model with the role tokens of its instruct sibling, without loading either.

    A base model has never trained its role tokens. A LoRA run from the folder needs no
    `lora_modules_to_save`.
    """
    from spectrum_trl.console import console
    from spectrum_trl.models.role_rows import transfer
    from spectrum_trl.progress import quiet_when_piped

    quiet_when_piped()
    with ended_by_sigterm():
        tokens = transfer(base, instruct, out, revision=revision)
    console().print(f"saved to {out}: {', '.join(tokens)} copied from {instruct}", markup=False)
