"""Names and texts of users stand in tables as they are."""

import io

from rich.console import Console

from spectrum_trl.console import console, plain
from spectrum_trl.evaluation import compare, table
from spectrum_trl.metrics.intervals import Interval

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
    table.show_comparison(compare.Comparison(**fields), title=f"{NAME} against [/]", out=out)
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
