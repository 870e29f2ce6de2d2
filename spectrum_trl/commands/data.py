"""``spectrum-trl data``: list, fetch, build, show, describe and publish the Suite's data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectrum_trl.console import console, counted, on_terminal, plain
from spectrum_trl.errors import MissingData, UserError, ended_by_sigterm
from spectrum_trl.paths import data_dir as data_folder

if TYPE_CHECKING:
    from spectrum_trl.suite.task import Task

app = typer.Typer(help="List, fetch, build, show and publish the Suite's data.", no_args_is_help=True)


def folder(name: str | Path) -> Path:
    """Return a folder by its name, which must not be empty: that would mean the current folder."""
    if not str(name):
        raise typer.BadParameter("name a folder; use a dot for the current one")
    return Path(name)


Names = Annotated[list[str] | None, typer.Argument(help="Tasks or globs; default: all.", show_default=False)]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        parser=folder,
        metavar="PATH",
        help="Default: $SPECTRUM_DATA, or the user's cache folder.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="The only source of randomness.")]
Paper = Annotated[bool, typer.Option("--paper", help="Sample as many as the paper does.")]


@app.command(name="list")
def list_tasks() -> None:
    """List all tasks with their split, kind, source, and what is sampled."""
    from rich.table import Table

    from spectrum_trl.suite.catalogue import suite_tasks

    table = Table("task", "split", "kind", "source", "what is sampled")
    for task in suite_tasks().values():
        table.add_row(task.name, task.split, task.kind, task.source.name, task.summary)
    console().print(table)


@app.command()
def status(data_dir: Folder = None) -> None:
    """Show which tasks have their data, and how to get the rest."""
    from spectrum_trl.commands.data_tables import status_table
    from spectrum_trl.suite.fetching.status import changed_files

    found = data_folder(data_dir)
    out = console()
    out.print(status_table(found))
    for path in changed_files(found):
        out.print(f"[red]changed since it was fetched:[/] {plain(path)}; delete it and fetch it again")


@app.command()
@ended_by_sigterm()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Sources, tasks, globs or your YAML files; default: all that need no consent."),
    ] = None,
    data_dir: Folder = None,
    accept: Annotated[bool, typer.Option("--accept", help="Accept the terms of the named sources.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Forget the checksums of the named sources, and fetch them anew.")
    ] = False,
) -> None:
    """Fetch the files of sources in parallel, verify their checksums, and resume interrupted downloads."""
    from spectrum_trl.commands.data_tables import fetch_with_progress
    from spectrum_trl.suite.catalogue import chosen_sources
    from spectrum_trl.suite.own.table import is_own, read_own

    if again and not names:
        raise UserError("--again: name the sources whose checksums to forget")
    own = [read_own(Path(name)).source for name in names or () if is_own(name)]
    others = [name for name in names or () if not is_own(name)]
    chosen = [*own, *(chosen_sources(others) if others or not own else ())]
    fetch_with_progress(chosen, data_dir=data_folder(data_dir, to_fill=True), accept=accept, again=again)


@app.command()
@ended_by_sigterm()
def build(
    names: Names = None,
    output: Annotated[
        Path,
        typer.Option(
            parser=folder, metavar="PATH", help="Folder for one parquet file per task and a manifest."
        ),
    ] = Path("runs/suite"),
    data_dir: Folder = None,
    seed: Seed = 0,
    num_proc: Annotated[int, typer.Option(min=1, max=256, help="Number of processes.")] = 1,
    paper: Paper = False,
) -> None:
    """Build tasks into parquet files, byte for byte the same for a seed; up-to-date files are kept."""
    from spectrum_trl.commands.data_tables import build_with_progress

    found = data_folder(data_dir)
    chosen = _present(names, data_dir=found)
    build_with_progress(
        # Tasks that may not be stored raise an error, so they are included only when named.
        [task.name for task in chosen if not task.source.private or task.name in (names or ())],
        output=output,
        data_dir=found,
        seed=seed,
        num_proc=num_proc,
        paper=paper,
    )


@app.command()
@ended_by_sigterm()
def show(
    task: Annotated[str, typer.Argument(help="A task, or a YAML file of your own.")],
    data_dir: Folder = None,
    seed: Seed = 0,
    row: Annotated[int, typer.Option(min=0, help="Which sequence.")] = 0,
    paper: Paper = False,
) -> None:
    """Print one sequence of a task."""
    from spectrum_trl.suite.catalogue import chosen_tasks
    from spectrum_trl.suite.own.table import is_own

    if not is_own(task):
        # Check the name before the slow imports.
        chosen_tasks([task])

    from datasets import disable_progress_bars

    from spectrum_trl.commands.data_tables import print_sequence
    from spectrum_trl.suite import load

    if not on_terminal():
        disable_progress_bars()

    dataset = load(task, data_dir=data_dir, seed=seed, paper=paper)
    if row >= len(dataset):
        raise UserError(f"--row: {task} has {counted(len(dataset), 'sequence')}, numbered from 0")
    print_sequence(dataset[row], of=len(dataset))


@app.command()
@ended_by_sigterm()
def stats(
    names: Names = None,
    output: Annotated[
        Path, typer.Option(parser=folder, metavar="PATH", help="Folder for the card and the figure.")
    ] = Path("runs/suite_card"),
    data_dir: Folder = None,
    seed: Seed = 0,
    tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer to count tokens with; default: estimate from bytes.")
    ] = None,
) -> None:
    """Write the Suite's card: statistics of each task under both samplings, and a figure."""
    from spectrum_trl.commands.data_tables import write_card

    found = data_folder(data_dir)
    chosen = _present(names, data_dir=found)
    write_card(chosen, output=output, data_dir=found, seed=seed, tokenizer=tokenizer)


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Folder that `spectrum-trl data build` wrote.")],
    repo: Annotated[str, typer.Argument(help="Name on the Hub: owner/name.")],
    public: Annotated[bool, typer.Option("--public", help="Make it public.")] = False,
) -> None:
    """Publish a build on the Hugging Face Hub, with a card."""
    from spectrum_trl.suite.building.push import push as publish

    console().print(publish(folder, repo, public=public), markup=False)


def _present(names: list[str] | None, *, data_dir: Path) -> list["Task"]:
    """Return the tasks with data, fetched now if possible; print the others, or raise if they were named."""
    from spectrum_trl.suite.building.manifest import read_manifest
    from spectrum_trl.suite.catalogue import chosen_tasks
    from spectrum_trl.suite.fetching.status import ensure
    from spectrum_trl.suite.fetching.status import status as status_of

    if read_manifest(data_dir):
        raise UserError(f"{data_dir} holds a build: name the data folder that it was built from")
    chosen = chosen_tasks(names)
    failed = ensure(chosen, data_dir=data_dir)
    absent = [task for task in chosen if task.missing(data_dir)]
    lines = [f"{task.name}: {status_of(task, data_dir=data_dir).how}" for task in absent]
    if named := [line for task, line in zip(absent, lines, strict=True) if task.name in (names or ())]:
        raise MissingData(*named, *failed)
    for line in (*lines, *failed):
        console(stderr=True).print(f"missing: {line}", markup=False, highlight=False)
    if len(absent) == len(chosen):
        raise MissingData(f"{data_dir} has no data for any of these tasks: see `spectrum-trl data status`")
    return [task for task in chosen if task not in absent]
