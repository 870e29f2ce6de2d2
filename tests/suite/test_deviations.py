"""What is done otherwise than in the research code has one form, and names tasks that exist."""

import pytest

from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.deviations import Deviation, deviations, parse

DOCSTRING = """A source.

Something about it.

Deviations:
    coinflip: it is | this
        is | that
    `normal`, babynames: a: b | c, d | e

Afterwards: more | than | this.
"""


def test_every_module_has_the_form_and_every_task_exists() -> None:
    found = deviations()
    assert len(found) > 20
    for each in found:
        assert set(each.tasks) <= set(suite_tasks())
        assert all(part.strip() == part and part for part in each[1:])
    assert len(set(found)) == len(found)


def test_entries_fold_over_lines_and_end_with_the_section() -> None:
    assert parse(DOCSTRING, place="m") == [
        Deviation(("coinflip",), "it is", "this is", "that"),
        Deviation(("normal", "babynames"), "a: b", "c, d", "e"),
    ]


def test_a_docstring_without_the_section_lists_nothing() -> None:
    assert parse("A source. Deviations: none\n", place="m") == []


@pytest.mark.parametrize(
    "entry",
    [
        "coinflip: a | b",
        "coinflip: a | b | c | d",
        "coinflip: a | | c",
        "coinflop: a | b | c",
        "no colon",
        "   ",
    ],
)
def test_another_form_names_the_module(entry: str) -> None:
    with pytest.raises(ValueError, match="^some.module: "):
        parse(f"x\n\nDeviations:\n    {entry}\n", place="some.module")
