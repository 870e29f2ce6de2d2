"""Write what docs/suite.md says of single tasks: sources, and what differs from the research code.

python -m spectrum_trl.suite.write_docs     # after a source changed; a test compares
"""

from collections import defaultdict

from spectrum_trl.files import write_atomic
from spectrum_trl.paths import PACKAGE
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.deviations import deviations
from spectrum_trl.suite.task import Task

FILE = PACKAGE.parent / "docs" / "suite.md"
BEGIN, END = "<!-- written by spectrum_trl/suite/write_docs.py -->", "<!-- end -->"
ACCESS = {
    "generated": "generated",
    "fetch": "fetched",
    "consent": "fetched after consent",
    "manual": "by hand",
    "request": "on request",
}


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


def with_tables(text: str) -> str:
    """Return a page with its tables between the two marks replaced by today's."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def main() -> None:
    """Write the tables into the page."""
    page = with_tables(FILE.read_text(encoding="utf-8"))
    with write_atomic(FILE) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
