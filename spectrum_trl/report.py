"""Show a run's evaluation before and after training: one table, one picture."""

from pathlib import Path

from rich.console import Console

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation import miniature, plot, report

WHEN = ("before", "after")
PICTURE = "curves.png"


def report_run(run: Path, *, console: Console | None = None) -> None:
    """Print the table of a run and draw its curves.

    Args:
        run: Output folder of a run with ``evaluate: miniature``.
        console: Where to print, or None for standard output.

    Raises:
        UserError: If the folder holds no evaluation.
    """
    files = {when: run / f"{when}.json" for when in WHEN}
    results = {when: miniature.load(file) for when, file in files.items() if file.is_file()}
    if not results:
        raise UserError(
            f"{run} holds no evaluation; train with `evaluate: miniature` first, as recipes/demo.yaml"
        )
    console = console or Console()
    report.show(results, console=console)
    plot.save(results, run / PICTURE)
    console.print(f"curves: {run / PICTURE}", markup=False)
