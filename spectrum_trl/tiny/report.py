"""Show a run's evaluation before and after training: one table, one picture."""

import os
from pathlib import Path

from rich.console import Console

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.files import check_writable, writing
from spectrum_trl.tiny import measure, plot, table

WHEN = ("before", "after")
PICTURE = "curves.png"


def report_run(run: Path, *, out: Console | None = None) -> None:
    """Print the table of a run and draw its curves.

    Args:
        run: Output folder of a run with ``evaluate: tiny``.
        out: Where to print, or None for standard output.

    Raises:
        UserError: If the folder holds no evaluation, or two that cannot be compared.
    """
    files = {when: run / f"{when}.json" for when in WHEN}
    results = {when: measure.load(file) for when, file in files.items() if os.path.isfile(file)}
    if len({result.seed for result in results.values()}) > 1:
        raise UserError(f"{run}: before.json and after.json were measured with different seeds; train again")
    if not results:
        raise UserError(f"{run} holds no evaluation; train with `evaluate: tiny` first, as recipes/demo.yaml")
    check_writable(run / PICTURE)
    out = out or console()
    table.show(results, console=out)
    with writing(run / PICTURE):
        plot.save(results, run / PICTURE)
    out.print(f"curves: {run / PICTURE}", markup=False)
