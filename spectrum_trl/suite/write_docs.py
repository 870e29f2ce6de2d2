"""Generate the Suite's counts, sources and deviations in README.md and docs/suite.md.

python -m spectrum_trl.suite.write_docs     # after changing a source; a test checks that it was run
"""

from collections import defaultdict
from pathlib import Path

from pydantic import BaseModel

from spectrum_trl.files import write_atomic
from spectrum_trl.paths import PACKAGE
from spectrum_trl.strict.schema import parsed
from spectrum_trl.strict.yaml import read_mapping
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.task import Task

DEVIATIONS = Path(__file__).with_name("deviations.yaml")
ROOT = PACKAGE.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "suite.md")
BEGIN, END = "<!-- {}: written by spectrum_trl/suite/write_docs.py -->", "<!-- end -->"
ACCESS = {
    "generated": "generated",
    "fetch": "fetched",
    "consent": "fetched after consent",
    "manual": "by hand",
    "request": "on request",
}


class Deviation(BaseModel, frozen=True, extra="forbid"):
    """One deviation.

    Attributes:
        tasks: The tasks it affects.
        research: What the research code does.
        here: What is done here.
        effect: Effect on the counts.
    """

    tasks: tuple[str, ...]
    research: str
    here: str
    effect: str


class Deviations(BaseModel, extra="forbid"):
    """The file of deviations, in its order."""

    deviations: list[Deviation]


def deviations(file: Path = DEVIATIONS) -> list[Deviation]:
    """Read all deviations.

    Raises:
        UserError: With every wrong key and value, and the row, counted from 0.
    """
    return parsed(Deviations, read_mapping(file), before=f"{file}: ").deviations


def counts() -> str:
    """Return the number of tasks by origin, as text."""
    every = suite_tasks().values()
    published = [task for task in every if task.in_paper]
    real = [task for task in published if not task.synthetic]
    more = len(every) - len(published)
    return (
        f"all {len(published)} tasks of the paper: {len(published) - len(real)} generated from a seed, "
        f"{len(real)} from {len({task.source.name for task in real})} real sources"
        + (f"; and {more} beyond the paper" if more else "")
    )


def tables() -> str:
    """Return the two tables in Markdown."""
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in suite_tasks().values():
        groups[task.source.name].append(task)
    lines = [
        "### Sources",
        "",
        "| source | tasks | licence | how to get it | not checked on a real file | citation |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, tasks in sorted(groups.items()):
        source = tasks[0].source
        title = f"[{source.title}]({source.homepage})" if source.homepage else source.title
        lines.append(
            f"| `{name}`: {title} | {', '.join(f'`{task.name}`' for task in tasks)} | {source.licence} | "
            f"{ACCESS[source.access]} | {source.unchecked or '—'} | {source.citation or '—'} |"
        )
    lines += [
        "",
        "### What differs from the research code",
        "",
        "| task | the research code | here | effect on counts |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {', '.join(f'`{name}`' for name in each.tasks)} | {each.research} | {each.here} | {each.effect} |"
        for each in deviations()
    ]
    return "\n".join(lines) + "\n"


def written(text: str) -> str:
    """Return a page with the text between the marks generated anew."""
    for name, part in (("tasks", counts()), ("tables", f"\n\n{tables()}\n")):
        before, mark, rest = text.partition(BEGIN.format(name))
        if mark:
            text = before + mark + part + END + rest.partition(END)[2]
    return text


def main() -> None:
    """Write the pages."""
    for file in PAGES:
        page = written(file.read_text(encoding="utf-8"))
        with write_atomic(file) as temporary:
            temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
