"""The card is a table of every task, of what was left out and is missing; the picture shows all kinds."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from spectrum_trl.suite.building.card import COLOURS, COLUMNS, Row, card, draw
from spectrum_trl.suite.building.stats import TaskStats
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.task import Kind

STATS = TaskStats(1234, 56789, 12, 1.2345, 1_000_000)


def rows() -> list[Row]:
    return [
        Row(task, STATS, {"a | b": 3, "none": 0}, STATS._replace(outputs=7) if task.paper else None)
        for task in suite_tasks().values()
    ]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_line_of_the_tables_has_all_columns() -> None:
    said = card(rows(), missing={"gone": "fetch it"}, seed=7, tokens="by gpt")
    first, left_out, missing = (part.strip().splitlines() for part in said.split("\n## "))
    table = [cells(line) for line in first if line.startswith("|")]
    assert table[0] == list(COLUMNS) and [row[0] for row in table[2:]] == list(suite_tasks())
    assert {len(row) for row in table} == {len(COLUMNS)}
    assert f"{len(suite_tasks())} tasks" in said and "seed 7" in said and "by gpt" in said
    assert table[2][5:] == ["1,234", "56,789", "12", "1.23", "1,000,000", table[2][-1]]
    assert {row[-1] for row in table[2:]} == {"same", "1,234 / 7"}
    lost = [cells(line) for line in left_out if line.startswith("|")]
    assert lost[2][1:] == ["a / b", "3"] and len(lost) == 2 + len(suite_tasks())
    assert cells(missing[-1]) == ["gone", "fetch it"]


def test_bars_in_what_is_said_do_not_break_a_table() -> None:
    task = next(iter(suite_tasks().values()))
    task = replace(task, source=replace(task.source, title="a | b", licence="c|d"))
    said = card([Row(task, STATS, {}, None)], missing={"x": "y | z"}, seed=0, tokens="")
    lines = [line for line in said.splitlines() if line.startswith(f"| {task.name}")]
    assert len(cells(lines[0])) == len(COLUMNS)
    assert len(cells(said.splitlines()[-1])) == 2


def test_nothing_is_missing_where_nothing_is() -> None:
    assert "## Missing" not in card(rows(), missing={}, seed=0, tokens="")


@pytest.mark.parametrize("n", [1, 1000])
def test_the_picture_is_drawn_of_one_task_and_of_all(tmp_path: Path, n: int) -> None:
    draw(rows()[:n], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_every_kind_has_its_colour() -> None:
    assert set(COLOURS) == set(get_args(Kind)) and len(set(COLOURS.values())) == len(COLOURS)
