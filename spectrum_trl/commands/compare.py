"""``spectrum-trl compare``: two evaluations, row by row."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[Path, typer.Argument(help="Results of one model, for example before tuning.")],
    second: Annotated[Path, typer.Argument(help="Results of another model on the same tasks.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric to compare; repeatable. Default: the headlines.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="JSON file for the comparison.")] = None,
) -> None:
    """Compare two evaluations: what improved, what got worse, what did not change.

    Differences are paired row by row; rows of one cluster (for example, one question asked of several
    groups) count as one. P-values are corrected over all tasks (Holm). Tasks that a model was trained on
    are marked, and their means are separate.
    """
    from spectrum_trl.console import console
    from spectrum_trl.evaluation import compare as comparing
    from spectrum_trl.evaluation import summary
    from spectrum_trl.evaluation.headlines import COMPARED
    from spectrum_trl.evaluation.results import read_results
    from spectrum_trl.evaluation.splits import marks_of, splits_of
    from spectrum_trl.files import check_writable, write_json, writing

    if output:
        check_writable(output)
    sides = read_results(first), read_results(second)
    found = comparing.compare(*sides, metrics=tuple(metric or COMPARED), group=splits_of(sides))
    title = f"{second} against {first}"
    summary.show_comparison(found, title=title, mark=marks_of(sides), out=console())
    if output:
        with writing(output):
            write_json(comparing.as_json(found), output)
