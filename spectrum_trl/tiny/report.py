"""Show a run's evaluation before and after training: one table, one picture."""

from pathlib import Path

from rich.console import Console

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.tiny import measure, plot, table

WHEN = ("before", "after")
PICTURE = "curves.png"


def report_run(run: Path, *, out: Console | None = None) -> None:
    """Print the table of a run and draw its curves.

    Args:
        run: Output folder of a run with ``evaluate: tiny``.
        out: Where to print, or None for standard output.

    Raises:
        UserError: If the folder holds no evaluation.
    """
    files = {when: run / f"{when}.json" for when in WHEN}
    results = {when: measure.load(file) for when, file in files.items() if file.is_file()}
    if not results:
        raise UserError(f"{run} holds no evaluation; train with `evaluate: tiny` first, as recipes/demo.yaml")
    out = out or console()
    table.show(results, console=out)
    plot.save(results, run / PICTURE)
    out.print(f"curves: {run / PICTURE}", markup=False)
