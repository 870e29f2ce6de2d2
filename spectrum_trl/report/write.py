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
from spectrum_trl.report.figures import Row
from spectrum_trl.report.page import Page

TEMPLATE = "page.html.jinja"
COLUMNS = (
    *("axis", "split", "task", "metric", "model", "n", "value", "low", "high"),
    *("baseline", "baseline_value", "skill", "low_coverage", "low_coverage_rows", "answers"),
)


def page_html(page: Page) -> str:
    """Return a report as one HTML page that needs nothing beside it."""
    environment = html_templates("spectrum_trl.report")
    environment.filters |= {"number": number, "signed": signed, "low_rows": low_rows}
    environment.globals |= {"isnan": math.isnan, "lowest": LOWEST_COVERAGE}
    return environment.get_template(TEMPLATE).render(page=page)


def summary_markdown(page: Page) -> str:
    """Return the summary as Markdown tables, one for each group of tasks."""
    parts = ["# Evaluation", ""]
    for group, rows in page.groups():
        columns = ("task", "metric", "model", "n", "value", "95% interval", "baseline", "skill")
        parts += [f"## {group.title}", "", _cells(columns), _cells(["---"] * 3 + ["---:"] * 5)]
        for row in rows:
            low = " (low coverage)" if row.hollow else f" ({low_rows(row)})" * (row.low_rows > 0)
            listed = f" ({_literal(row.answers)})" if row.answers else ""
            value = f"{number(row.value)}{low}{listed}"
            against = f"{row.baseline} {number(row.reference)}" if row.baseline else "—"
            texts = [_literal(text) for text in (row.task, row.metric, row.model)]
            parts.append(_cells([*texts, f"{row.n:,}", value, row.spread, against, number(row.skill)]))
        parts.append("")
    return "\n".join(parts)


def summary_csv(page: Page) -> str:
    """Return the summary as CSV; unknown figures are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in page.rows:
        figures = [_plain(value) for value in (row.value, row.low, row.high)]
        against = [row.baseline, _plain(row.reference), _plain(row.skill)]
        against += [str(row.hollow).lower(), str(row.low_rows), visible(row.answers)]
        names = [visible(text) for text in (row.task, row.metric, row.model)]
        writer.writerow([row.group.axis, row.group.split, *names, row.n, *figures, *against])
    return out.getvalue()


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
