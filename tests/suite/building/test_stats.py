"""The numbers of a task are counts of its sequences; the card shows them and what is missing."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.suite.building import stats
from spectrum_trl.suite.building.stats import (
    COLOURS,
    COLUMNS,
    Row,
    TaskStats,
    about_tokens,
    card,
    draw,
    task_stats,
)
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.task import Kind, Message, SampleSequence

STATS = TaskStats(1234, 56789, 12, 1.2345, 1_000_000)


def sequence(*outputs: str, description: str = "d") -> SampleSequence:
    messages: list[Message] = [{"role": "description", "content": description}]
    messages += [{"role": "output", "content": each} for each in outputs]
    return SampleSequence(
        messages=messages, task="t", source="s", kind="numeric", split="train", sequence_id="0"
    )


def test_a_small_task_counted_by_hand() -> None:
    found = task_stats([sequence("a", "b"), sequence("a", "a", description="four")])
    # Six turns of five tokens and of a text of at most four bytes.
    entropy = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert found == TaskStats(2, 4, 2, pytest.approx(entropy), 6 * 6)  # type: ignore[arg-type]


@given(st.lists(st.lists(st.text(max_size=2), max_size=5), max_size=6))
def test_entropy_is_that_of_the_outputs(texts: list[list[str]]) -> None:
    found = task_stats(sequence(*outputs) for outputs in texts)
    counts = Counter(text for outputs in texts for text in outputs)
    assert (found.sequences, found.outputs, found.different) == (len(texts), counts.total(), len(counts))
    shares = [n / counts.total() for n in counts.values()]
    assert found.entropy == pytest.approx(-sum(share * math.log(share) for share in shares))
    assert 0 <= found.entropy <= math.log(max(found.outputs, 1)) + 1e-9


def test_tokens_are_about_a_quarter_of_the_bytes_or_what_a_tokenizer_says() -> None:
    assert (
        about_tokens([{"role": "output", "content": "優" * 4}, {"role": "output", "content": ""}])
        == 3 + 5 + 5
    )
    assert task_stats([sequence("a"), sequence("b")], tokens=len).tokens == 4


def test_beyond_what_is_kept_entropy_is_a_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "MOST_OUTPUTS", 3)
    found = task_stats([sequence(*map(str, range(10)), "0")])
    assert found.outputs == 11 and found.different == 3 and 0 < found.entropy < math.log(10)


def test_nothing_at_all() -> None:
    assert task_stats([]) == TaskStats(0, 0, 0, 0.0, 0)


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
