"""``spectrum-trl data``: list the tasks, and say which of them have their data in place."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spectrum_trl.suite.task import Task


def data(
    folder: Annotated[Path | None, typer.Option("--data-dir", help="Default: $SPECTRUM_DATA.")] = None,
) -> None:
    """List the tasks, and which of them have their data in place."""
    from rich.markup import escape
    from rich.table import Table

    from spectrum_trl.catalogue import tasks
    from spectrum_trl.console import console
    from spectrum_trl.errors import MissingData
    from spectrum_trl.paths import data_dir

    try:
        root: Path | None = data_dir(folder)
    except MissingData:
        if folder or os.environ.get("SPECTRUM_DATA"):
            raise
        root = None
    table = Table(title=escape(f"Data folder: {root or 'none (set SPECTRUM_DATA)'}"))
    for column in ("task", "split", "kind", "source", "data"):
        table.add_column(column, overflow="fold")
    for task in tasks().values():
        table.add_row(task.name, task.split, task.kind, task.source.title, _state(task, root))
    console().print(table)


def _state(task: "Task", root: Path | None) -> str:
    if task.synthetic:
        return "generated"
    if root is None:
        return "no data folder"
    absent = task.missing(root)
    return f"missing: {', '.join(absent)}" if absent else "present"
