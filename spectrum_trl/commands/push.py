"""``spectrum-trl push``: publish a run's model on the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer


def push(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    repo: Annotated[str, typer.Argument(help="Model id on the Hub, as owner/name.")],
    results: Annotated[
        list[Path], typer.Option(help="Folder of an evaluation of the run, for the card; repeatable.")
    ] = [],  # noqa: B006
    public: Annotated[bool, typer.Option("--public", help="Publish for everybody.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Publish; without it, only show what would be.")] = False,
) -> None:
    """Show what would be published, and publish it with --yes.

    A model trained on data whose terms forbid it is refused.
    """
    import tempfile

    from spectrum_trl.console import console, plain
    from spectrum_trl.training.publish import publish, stage

    out = console()
    with tempfile.TemporaryDirectory() as scratch:
        staged = stage(run, Path(scratch), repo=repo, results=results, public=public)
    for name, size in staged.files.items():
        out.print(f"{size:>14,} bytes  {plain(name)}", highlight=False)
    for task, metric, value in staged.figures:
        out.print(f"card: {plain(task)}: {metric} {value:.4f}", highlight=False)
    for figure in staged.left_out:
        out.print(f"not in the card, for low coverage: {plain(figure)}", highlight=False)
    if yes:
        out.print(publish(run, repo, results=results, public=public), markup=False)
    else:
        seen = "everybody" if public else "you alone"
        out.print(f"nothing was published; add --yes to publish to {plain(repo)} for {seen}", highlight=False)
