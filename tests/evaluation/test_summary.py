"""Names and texts of users stand in tables as they are."""

import io

import pytest
from rich.console import Console

from spectrum_trl.console import console, plain
from spectrum_trl.evaluation import compare, distributional, summary
from spectrum_trl.evaluation.headlines import is_of_shares
from spectrum_trl.metrics.intervals import Interval
from tests.messages import named

NAME = "[red]x[/] :smile: [/] \\[b]"


def shown(text: str) -> str:
    out = console()
    out.file = io.StringIO()
    out.print(text)
    return str(out.file.getvalue())


def test_markup_emoji_and_control_characters_are_only_shown() -> None:
    assert shown(plain(f"{NAME}\x1b[31m\x07")) == f"{NAME}␛[31m␇\n"


def test_names_stand_in_the_tables_of_evaluations_as_they_are() -> None:
    out = Console(file=io.StringIO(), width=300, emoji=False)
    one = compare.Difference(**{field: _value(field) for field in compare.Difference._fields})
    fields = {field: () for field in compare.Comparison._fields} | {
        "tasks": [one],
        "formats": {},
        "means": {},
    }
    summary.show_comparison(
        compare.Comparison(**fields), title=f"{NAME} against [/]", mark=lambda task: "held out", out=out
    )
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert f"{NAME} against [/], differences" in text and text.count(NAME) == 3


def _value(field: str) -> object:
    texts, intervals = ("task", "metric", "verdict"), ("difference",)
    return (
        NAME
        if field in texts[:2]
        else "same"
        if field in texts
        else Interval(0, 0, 0)
        if field in intervals
        else 1
    )


@pytest.mark.parametrize("low", [0.0, 1.0])
def test_a_loss_among_labels_is_shown_with_its_coverage_and_marked_where_that_is_low(low: float) -> None:
    figures = {
        "loss": 26.3,
        "loss_restricted": 0.69,
        "coverage": 9.6e-07,
        "low_coverage": low,
        "sequences": 5,
    }
    results = {"results": {"task": {f"{name},none": value for name, value in figures.items()}}}
    out = Console(file=io.StringIO(), width=200)
    summary.show(results, out=out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    for shown in (text, "\n".join(summary.lines(results))):
        assert ("0.6900 (low coverage)" in shown) == bool(low) and "coverage 9.6e-07" in shown
        assert "26.3000 (low" not in shown
    # Below the table, which share is low.
    assert named(text, "low coverage", 0.05) == bool(low)


@pytest.mark.parametrize("name", [*distributional.METRICS, *distributional.ORDINAL, *distributional.DRAWN])
def test_metrics_of_shares_are_marked_where_coverage_is_low(name: str) -> None:
    """A new one goes into `headlines.OF_SHARES`, too; these two are proper whatever the coverage."""
    proper = name in ("coverage", "log_loss") or name.startswith("uniform")
    assert is_of_shares(name) != proper
