"""Answers as tables with bars, for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from spectrum_trl.ask.questions import as_text
from spectrum_trl.console import plain

# Characters of a full bar.
WIDTH = 30


def show(found: Mapping[str, Any], *, out: Console) -> None:
    """Print the answer to one question.

    Args:
        found: As `asking.ask` returns it.
        out: The console.
    """
    if "samples" in found:
        _show_samples(found["samples"], out=out)
        return
    rows = found.get("tokens") or found["answers"]
    shares = ["normalised"] if rows and "normalised" in rows[0] else []
    table = Table("token" if "tokens" in found else "answer", "probability", *shares, "", box=None)
    largest = max((row[shares[0] if shares else "probability"] for row in rows), default=0) or 1
    for row in sorted(rows, key=lambda row: -row["probability"]):
        text = row["text"] if "text" in row else as_text(row["value"] if "value" in row else row["answer"])
        share = row[shares[0]] if shares else row["probability"]
        cells = [f"{row[name]:.4f}" for name in shares]
        table.add_row(
            plain(repr(text) if "tokens" in found or text != text.strip() or not text else text),
            f"{row['probability']:.4g}",
            *cells,
            "█" * round(WIDTH * share / largest),
        )
    out.print(table)
    if "coverage" in found:
        low = ": low, so the normalised probabilities say little" if found["low_coverage"] else ""
        out.print(f"coverage {found['coverage']:.4g}{low}", highlight=False)
    if "mass" in found:
        more = "every answer this likely" if found["exhausted"] else "the likeliest"
        out.print(f"{more}: together {found['mass']:.4f} of all probability", highlight=False)


def _show_samples(samples: list[Mapping[str, Any]], *, out: Console) -> None:
    counts: dict[str, int] = {}
    for one in samples:
        # One line each, or a sample's own lines would look like other samples.
        text = " ⏎ ".join((one["text"] if one["ended"] else f"{one['text']} …").splitlines())
        counts[text] = counts.get(text, 0) + 1
    table = Table("sample", "count", "", box=None)
    for text, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(plain(text), str(count), "█" * round(WIDTH * count / max(counts.values())))
    out.print(table)
    out.print(f"{len(counts)} different among {len(samples)}", highlight=False)
