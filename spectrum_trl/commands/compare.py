"""``spectrum-trl compare``: two evaluations, row by row."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[Path, typer.Argument(help="Results of one model, for example before tuning.")],
    second: Annotated[Path, typer.Argument(help="Results of another, on the same tasks.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric to compare; repeatable. Default: the headlines.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="JSON file for the comparison.")] = None,
) -> None:
    """Compare two evaluations: what improved, what fell, what stayed as it was.

    Differences are paired row by row; rows of one cluster, as one question asked of several groups, count
    as one. The chances of none are corrected over all tasks (Holm).
    """
    from rich.console import Console
    from rich.table import Table

    from spectrum_trl.evaluation import compare as comparing
    from spectrum_trl.evaluation.results import read_results
    from spectrum_trl.files import check_writable, write_json, writing

    if output:
        check_writable(output)
    found = comparing.compare(
        read_results(first), read_results(second), metrics=tuple(metric or comparing.HEADLINES)
    )
    table = Table(title=f"{second} against {first}, differences with 95% intervals")
    for column in (
        "task",
        "metric",
        "rows",
        "clusters",
        "not paired",
        "first",
        "second",
        "difference",
        "p",
        "verdict",
    ):
        table.add_column(column, justify="left" if column in ("task", "metric", "verdict") else "right")
    for one in found.tasks:
        interval = f"{one.difference.mean:+.4f} [{one.difference.low:+.4f}, {one.difference.high:+.4f}]"
        figures = [f"{one.first:.4f}", f"{one.second:.4f}", interval, f"{one.p:.4f}", one.verdict]
        table.add_row(one.task, one.metric, f"{one.n:,}", f"{one.clusters:,}", f"{one.left_out:,}", *figures)
    out = Console()
    out.print(table)
    for name, mean in found.means.items():
        left = f", {mean.left_out} left out: infinite, or a single row" if mean.left_out else ""
        interval = f"{mean.difference.mean:+.4f} [{mean.difference.low:+.4f}, {mean.difference.high:+.4f}]"
        out.print(f"mean over {mean.tasks} tasks, {name}: {interval}, p {mean.p:.4f}{left}", markup=False)
    for lost in found.unpaired:
        out.print(f"not compared: {lost.task}, {lost.metric}: {lost.reason}", markup=False)
    if output:
        tasks = [one._asdict() | {"difference": one.difference._asdict()} for one in found.tasks]
        means = {
            name: mean._asdict() | {"difference": mean.difference._asdict()}
            for name, mean in found.means.items()
        }
        unpaired = [lost._asdict() for lost in found.unpaired]
        with writing(output):
            write_json({"tasks": tasks, "means": means, "unpaired": unpaired}, output)
