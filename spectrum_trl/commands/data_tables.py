"""Output of ``spectrum-trl data``: tables, progress bars, a sequence, the card."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from spectrum_trl.console import WIDTH, console, counted, on_terminal, plain, visible
from spectrum_trl.errors import check_ended, refuse
from spectrum_trl.files import folder_problems, remove_left, write_atomic, writing
from spectrum_trl.suite.building.build import Built, build_suite
from spectrum_trl.suite.building.cache import built_sequences
from spectrum_trl.suite.building.stats import TITLE, Row, about_tokens, card, draw, task_stats
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.fetching.fetch import fetch
from spectrum_trl.suite.fetching.status import status
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Message, Task

STYLES = {"description": "bold", "input": "cyan", "output": "green"}
COLOURS = {"ready": "green", "can be fetched": "yellow"}
ABOUT = "estimated from bytes"


def status_table(data_dir: Path) -> Table:
    """Return one row per source: its tasks, its state, size, licence, and what to do."""
    table = Table(title=plain(f"Data folder: {data_dir}"))
    for column in ("source", "tasks", "state", "size", "licence", "what to do, notes"):
        # Keep names on one line, for copying, where the terminal is wide enough.
        whole = column in ("source", "tasks") and console().width >= WIDTH
        table.add_column(column, overflow="fold", no_wrap=whole)
    groups: dict[str, list[Task]] = {}
    for task in suite_tasks().values():
        groups.setdefault(task.source.name, []).append(task)
    for name, tasks in sorted(groups.items()):
        source = tasks[0].source
        unchecked = f"Not checked on a real file: {source.unchecked}" if source.unchecked else ""
        states = {task.name: status(task, data_dir=data_dir) for task in tasks}
        for each in dict.fromkeys(states.values()):
            names = [task for task, found in states.items() if found == each]
            shown = "generated" if source.access == "generated" and each.state == "ready" else each.state
            table.add_row(
                name,
                "\n".join(names),
                f"[{COLOURS.get(each.state, 'red')}]{shown}[/]",
                f"{source.size / 1e6:,.1f} MB" if source.size else "—",
                escape(source.licence),
                plain("\n".join(filter(None, (each.how, unchecked)))),
            )
    return table


def fetch_with_progress(
    sources: Sequence[Source], *, data_dir: Path, accept: bool, again: bool = False
) -> None:
    """Fetch sources, with a progress bar for each on a terminal, and print how many files each fetched."""
    with _bars(DownloadColumn(), TransferSpeedColumn()) as bars:
        bar = {source.name: bars.add_task(source.name, total=source.size or None) for source in sources}
        done = fetch(
            sources,
            data_dir=data_dir,
            accept=accept,
            again=again,
            progress=lambda name, n: bars.advance(bar[name], n),
        )
    for found in done:
        console().print(
            f"{found.source}: {counted(found.files, 'file')} fetched, {found.kept} already present",
            markup=False,
        )


def build_with_progress(names: Sequence[str], *, output: Path, **settings: Any) -> None:
    """Build tasks as `build_suite` does, with a bar on a terminal, and print the counts of each."""
    out = console()
    with _bars(MofNCompleteColumn()) as bar:
        whole = bar.add_task("tasks", total=len(names))

        def report(built: Built) -> None:
            bar.advance(whole)
            record = built.record
            lost = ", ".join(f"{reason}: {n:,}" for reason, n in record["dropped"].items())
            out.print(
                f"{built.task}: {counted(record['sequences'], 'sequence')}, "
                + counted(record["outputs"], "output")
                + (f"; left out: {lost}" if lost else "")
                + (" (built before)" if built.kept else ""),
                markup=False,
                highlight=False,
            )

        build_suite(names, output=output, progress=report, **settings)
    out.print(f"{counted(len(names), 'task')} in {output}", markup=False)


def _bars(*columns: ProgressColumn) -> Progress:
    described = TextColumn("{task.description}", markup=False), BarColumn()
    return Progress(*described, *columns, console=Console(stderr=True), disable=not on_terminal())


def print_sequence(row: dict[str, Any], *, of: int) -> None:
    """Print a sequence, one paragraph per turn."""
    out = console()
    out.print(
        f"{row['task']} ({row['split']}, {row['kind']}, {row['source']}): "
        f"sequence {visible(row['sequence_id'])}, "
        f"{counted(row['n_outputs'], 'output')}; {counted(of, 'sequence')}",
        markup=False,
        highlight=False,
    )
    for message in row["messages"]:
        out.print(
            f"[{STYLES[message['role']]}]{message['role']}[/] {plain(message['content'])}",
            emoji=False,
            highlight=False,
        )


def write_card(
    tasks: Sequence[Task], *, output: Path, data_dir: Path, seed: int, tokenizer: str | None
) -> None:
    """Write the Suite's card and its figure."""
    refuse([*folder_problems(output), *_foreign(output)])
    count = _counter(tokenizer)
    rows = []
    for task in tasks:
        dropped: Counter[str] = Counter()
        sequences = built_sequences(task, data_dir=data_dir, seed=seed, dropped=dropped)
        stats = task_stats(sequences, tokens=count)
        paper = None
        if task.paper is not None:
            drawn = built_sequences(task, data_dir=data_dir, seed=seed, dropped=Counter(), paper=True)
            paper = task_stats(drawn, tokens=count)
        check_ended()
        rows.append(Row(task, stats, +dropped, paper))
        console().print(f"{task.name}: {counted(stats.sequences, 'sequence')}", markup=False, highlight=False)
    missing = {
        task.name: status(task, data_dir=data_dir).how
        for task in suite_tasks().values()
        if task.missing(data_dir)
    }
    text = card(rows, missing=missing, seed=seed, tokens=tokenizer or ABOUT)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        page, picture = output / "README.md", output / "composition.png"
        remove_left(page)
        remove_left(picture)
        # Both or neither: a figure without its card is later treated as a foreign file.
        with write_atomic(page) as written, write_atomic(picture) as figure:
            written.write_text(text, "utf-8")
            draw(rows, figure)
    console().print(f"wrote {page} and {picture}", markup=False)


def _foreign(output: Path) -> list[str]:
    """Return a problem for each file that the card would overwrite although no card wrote it."""
    page, picture = output / "README.md", output / "composition.png"
    try:
        ours = page.read_bytes().startswith(TITLE.encode())
    except OSError:
        ours = False
    return [
        f"{place} was not written by this command: choose another folder for --output, or move the file away"
        for place in (page, picture)
        if place.exists() and not ours
    ]


def _counter(tokenizer: str | None) -> Callable[[list[Message]], int]:
    if tokenizer is None:
        return about_tokens
    from spectrum_trl.models.load import load_tokenizer
    from spectrum_trl.prompts import templates

    loaded = load_tokenizer(tokenizer)
    templates.install(loaded)
    return lambda messages: len(
        loaded.apply_chat_template(cast(list[dict[str, str]], messages), return_dict=False)
    )
