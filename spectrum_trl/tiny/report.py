"""Report a run's evaluation: tables, one picture, and files for ``spectrum-trl compare``."""

import os
from pathlib import Path

from rich.console import Console

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.files import check_writable, write_atomic, writing
from spectrum_trl.tiny import plot, scores, table
from spectrum_trl.tiny.columns import COLUMNS, COMPARE, TUNED

PICTURE, MARKDOWN = "curves.png", "table.md"


def report_run(run: Path, *, out: Console | None = None) -> list[Path]:
    """Print the tables of a run and plot its curves.

    Args:
        run: Output folder of a run with ``evaluate: tiny``.
        out: Where to print, or None for standard output.

    Returns:
        The written files.

    Raises:
        UserError: If the folder contains no evaluation, or results that cannot be compared.
    """
    files = {name: run / f"{name}.json" for name in COLUMNS}
    found = {name: scores.load(file) for name, file in files.items() if os.path.isfile(file)}
    if len({scores.measured_on(one) for one in found.values()}) > 1:
        raise UserError(
            f"{run}: its results were measured with different seeds or on other items; train again"
        )
    if not found:
        raise UserError(
            f"{run} contains no evaluation; train with `evaluate: tiny` first, as recipes/demo.yaml does"
        )
    check_writable(run / PICTURE)
    out = out or console()
    titled = {COLUMNS[name].title: one for name, one in found.items()}
    table.show(titled, console=out)
    if TUNED in found and len(found) > 1:
        out.print(table.differences(titled, last=COLUMNS[TUNED].title))
    with writing(run):
        plot.save(titled, run / PICTURE)
        with write_atomic(run / MARKDOWN) as temporary:
            temporary.write_text(table.markdown(titled), encoding="utf-8")
        written = [
            file for name, one in found.items() for file in scores.write_samples(one, run / COMPARE / name)
        ]
    out.print(f"curves: {run / PICTURE}, table in Markdown: {run / MARKDOWN}", markup=False)
    out.print(table.samples(titled))
    return [run / PICTURE, run / MARKDOWN, *written]
