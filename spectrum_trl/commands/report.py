"""``spectrum-trl report``: any number of evaluations as one page; a demo run as a table and a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

# Subfolder of a demo run with the results of its models.
COMPARE = "compare"


def report(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Results of `spectrum-trl eval`, each a PATH or NAME=PATH; or a demo run's folder."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file; default: report.html.")
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            help="Models to compare, FIRST,SECOND; repeatable. Default: the last with each other one."
        ),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Markdown file for the summary.")] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file for the summary.")] = None,
) -> None:
    """Show any number of evaluations on one page, which needs no network; models are columns in your order.

    For the folder of a run with `evaluate: tiny`, and without options, print its table and plot its curves.
    """
    if len(results) == 1 and not (output or pair or markdown or csv) and _is_run(Path(results[0])):
        from spectrum_trl.tiny.report import report_run

        report_run(Path(results[0]))
        return
    from spectrum_trl.console import console
    from spectrum_trl.errors import UserError
    from spectrum_trl.files import check_writable
    from spectrum_trl.report.page import page_of
    from spectrum_trl.report.reading import read_evaluations
    from spectrum_trl.report.write import write

    pairs = _pairs(pair or [])
    output = output or Path("report.html")
    files = [file for file in (output, markdown, csv) if file]
    if len({file.resolve() for file in files}) < len(files):
        raise UserError("--output, --markdown and --csv name the same file; give each its own")
    for file in files:
        check_writable(file)
    page = page_of(read_evaluations([part for word in results for part in _parts(word)]), pairs=pairs)
    for file in write(page, output=output, markdown=markdown, table=csv):
        console().print(f"written: {file}", markup=False)


def _is_run(folder: Path) -> bool:
    """Return whether a folder holds no results of an evaluation but those that a demo run leaves."""
    try:
        found = folder.glob("**/results_*.json") if folder.is_dir() else ()
        return folder.is_dir() and all(COMPARE in file.relative_to(folder).parts for file in found)
    except OSError:
        return False


def _parts(word: str) -> list[str]:
    """Return the results of every model of a demo run; of other folders, the word itself."""
    folder = Path(word) / COMPARE
    if not (_is_run(Path(word)) and folder.is_dir()):
        return [word]
    from spectrum_trl.tiny.columns import COLUMNS

    return [f"{name}={folder / name}" for name in COLUMNS if (folder / name).is_dir()] or [word]


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    from spectrum_trl.errors import UserError

    split = [word.split(",") for word in words]
    if wrong := [word for word, parts in zip(words, split, strict=True) if len(parts) != 2]:
        raise UserError(*(f"--pair: {word!r} names no two models; write FIRST,SECOND" for word in wrong))
    return [(first.strip(), second.strip()) for first, second in split]
