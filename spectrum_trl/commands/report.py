"""``spectrum-trl report``: a run's evaluation before and after training, as one table and one figure."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="output_dir of a run with `evaluate: tiny`.")],
) -> None:
    """Print a run's evaluation before and after training as one table, and plot its curves."""
    from spectrum_trl.tiny.report import report_run

    report_run(run)
