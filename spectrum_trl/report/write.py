"""Write a report: a page for people, and its summary as Markdown and CSV for machines."""

import csv
import html
import io
import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from spectrum_trl.console import counted, encoded, html_templates, visible
from spectrum_trl.evaluation.results import LOWEST_COVERAGE
from spectrum_trl.evaluation.summary import number, signed
from spectrum_trl.files import write_atomic, writing
from spectrum_trl.report.figures import BASELINES, Row
from spectrum_trl.report.page import Difference, Page

TEMPLATE = "page.html.jinja"
# Each baseline has a column; ``baseline`` names the best one.
NAMES = tuple(dict.fromkeys(name for names in BASELINES.values() for name in names))
COLUMNS = (
    *("axis", "split", "task", "metric", "model", "n", "value", "low", "high"),
    *("baseline", "baseline_value", "skill", "low_coverage", "low_coverage_rows", "answers"),
    *(name.replace(" ", "_") for name in NAMES),
)


def page_html(page: Page) -> str:
    """Return a report as one HTML page that needs nothing beside it."""
    environment = html_templates("spectrum_trl.report")
    environment.filters |= {"number": number, "signed": signed, "low_rows": low_rows, "baselines": baselines}
    environment.globals |= {"isnan": math.isnan, "lowest": LOWEST_COVERAGE}
    return environment.get_template(TEMPLATE).render(page=page)


def summary_markdown(page: Page) -> str:
    """Return the summary as Markdown: for each group of tasks a table with a column a model; differences."""
    names = [_literal(model.name) for model in page.models]
    parts = ["# Evaluation", ""]
    for group, rows in page.groups():
        head = ["task", "metric", "n", *names, "baseline"]
        aligned = ["---"] * 2 + ["---:"] * (1 + len(names)) + ["---"]
        parts += [f"## {group.title}", "", _cells(head), _cells(aligned)]
        for (task, metric), found in _by_task(rows).items():
            values = [_value(found[model.name]) if model.name in found else "—" for model in page.models]
            against = [", ".join(baselines(row)) for row in found.values() if row.baselines]
            n = " / ".join(dict.fromkeys(f"{row.n:,}" for row in found.values()))
            cells = [_literal(task), _literal(metric), n, *values, " / ".join(dict.fromkeys(against)) or "—"]
            parts.append(_cells(cells))
        parts.append("")
    for pair in page.differences:
        parts += [*_differences(pair), ""]
    return "\n".join(parts)


def _by_task(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, Row]]:
    """Return the rows of each task and metric by model."""
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row.task, row.metric), {})[row.model] = row
    return found


def _value(row: Row) -> str:
    """Return a value with its interval, its skill, and what makes it mean less."""
    parts = [number(row.value)]
    if not math.isnan(row.low):
        parts.append(f"[{number(row.low)}, {number(row.high)}]")
    if not math.isnan(row.skill):
        parts.append(f"skill {row.skill:.2f}")
    notes = ["low coverage"] * row.low_coverage or [low_rows(row)] * (row.low_rows > 0)
    return " ".join(parts + [f"({note})" for note in (*notes, _literal(row.answers)) if note])


def _differences(pair: Difference) -> list[str]:
    title = f"## Paired differences: {_literal(pair.second)} minus {_literal(pair.first)}"
    if not pair.found:
        return [title, "", f"Not compared: {_literal(pair.problem)}"]
    rows = [
        (
            _literal(one.task),
            _literal(one.metric),
            f"{one.n:,}",
            signed(one.difference),
            _p(one.p),
            one.verdict,
        )
        for one in pair.found.tasks
    ]
    head = ("task", "metric", "rows", "difference", "p (Holm)", "verdict")
    return [title, "", _cells(head), _cells(["---"] * 2 + ["---:"] * 3 + ["---"]), *map(_cells, rows)]


def _p(value: float) -> str:
    return "—" if math.isnan(value) else f"{value:.4f}"


def summary_csv(page: Page) -> str:
    """Return the summary as CSV; unknown figures are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in page.rows:
        figures = [_plain(value) for value in (row.value, row.low, row.high)]
        against = [row.baseline, _plain(row.reference), _plain(row.skill)]
        against += [str(row.low_coverage).lower(), str(row.low_rows), visible(row.answers)]
        against += [_plain(row.baselines.get(name, math.nan)) for name in NAMES]
        names = [visible(text) for text in (row.task, row.metric, row.model)]
        writer.writerow([row.group.axis, row.group.split, *names, row.n, *figures, *against])
    return out.getvalue()


def baselines(row: Row) -> list[str]:
    """Return the baselines of a headline with their values, the best first."""
    return [f"{name} {number(value)}" for name, value in row.baselines.items()]


def low_rows(row: Row) -> str:
    """Return how many rows of a mean have low coverage."""
    return f"low coverage in {row.low_rows:,} of {counted(row.n, 'row')}"


def write(page: Page, *, output: Path, markdown: Path | None = None, table: Path | None = None) -> list[Path]:
    """Write a report; all texts are made before the first file is written.

    Args:
        page: The report.
        output: HTML file; ``-`` is standard output, here and below.
        markdown: File for the summary.
        table: CSV file for the summary.

    Returns:
        The written files, without standard output.

    Raises:
        UserError: If a file cannot be written.
    """
    texts: dict[Path, str] = {output: page_html(page)}
    if markdown:
        texts[markdown] = summary_markdown(page)
    if table:
        texts[table] = summary_csv(page)
    if (text := texts.pop(Path("-"), None)) is not None:
        sys.stdout.buffer.write(encoded(text))
    for file, text in texts.items():
        with writing(file), write_atomic(file) as temporary:
            # A lone surrogate in a sample has no encoding.
            temporary.write_text(text, encoding="utf-8", errors="replace", newline="")
    return list(texts)


def _cells(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _literal(text: str) -> str:
    """Escape what Markdown or the HTML inside it would obey."""
    safe = html.escape(re.sub(r"\s+", " ", visible(text)), quote=False)
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", safe)


def _plain(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
