"""``spectrum-trl report``: any number of evaluations as one page; a demo run as a table and a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def report(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Results of `spectrum-trl eval`, each a PATH or NAME=PATH; or a demo run's folder."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file, - for standard output; else report.html."),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            help="Models to compare, FIRST,SECOND; repeatable. Default: the last with each other one."
        ),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Markdown file for the summary.")] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file for the summary.")] = None,
    wandb: Annotated[str | None, typer.Option(help="Project in Weights & Biases to log to, too.")] = None,
) -> None:
    """Show any number of evaluations on one page, which needs no network; models are columns in your order.

    For the folder of a run with `evaluate: tiny`, and without options, print its table and plot its curves.
    """
    from spectrum_trl.tiny.scores import is_run, results_of

    if len(results) == 1 and not (output or pair or markdown or csv or wandb) and is_run(Path(results[0])):
        from spectrum_trl.tiny.report import report_run

        report_run(Path(results[0]))
        return
    from spectrum_trl.console import console
    from spectrum_trl.errors import UserError, refuse
    from spectrum_trl.files import check_writable
    from spectrum_trl.report.page import page_of
    from spectrum_trl.report.reading import read_evaluations
    from spectrum_trl.report.write import write

    pairs = _pairs(pair or [])
    output = output or Path("report.html")
    files = [file for file in (output, markdown, csv) if file]
    if len({file.resolve() for file in files}) < len(files):
        raise UserError("--output, --markdown and --csv name the same file; give each its own")
    if wandb is not None and (str(output) == "-" or not wandb.strip()):
        raise UserError("--wandb takes a project's name, and the page as a file; name one with --output")
    for file in files:
        if str(file) != "-":
            check_writable(file)
    evaluations = read_evaluations([part for word in results for part in results_of(word)])
    folders = {file.resolve().parent for one in evaluations for file in one.sources}
    refuse(
        f"{file} lies among the results that are read; name another file"
        for file in files
        if file.resolve().parent in folders and file.suffix in (".json", ".jsonl")
    )
    page = page_of(evaluations, pairs=pairs)
    for file in write(page, output=output, markdown=markdown, table=csv):
        console(stderr=Path("-") in files).print(f"written: {file}", markup=False)
    if wandb:
        from spectrum_trl.report.tracking import log

        log(evaluations, page, html=output, project=wandb)


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    from spectrum_trl.errors import UserError

    split = [word.split(",") for word in words]
    if wrong := [word for word, parts in zip(words, split, strict=True) if len(parts) != 2]:
        raise UserError(*(f"--pair: {word!r} names no two models; write FIRST,SECOND" for word in wrong))
    return [(first.strip(), second.strip()) for first, second in split]
