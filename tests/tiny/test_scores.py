"""A file is refused if its numbers cannot be those of an evaluation; the record stands for a whole one."""

import json
from pathlib import Path
from typing import Any

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.tiny import scores
from spectrum_trl.tiny.scores import COIN, RANGES, SAMPLES, SEQUENCES, URN, TinyResult, best_of

RECORD = json.loads((bundled("recipes") / "demo_all_tokens.json").read_text("utf-8"))
RECORD["rows"] = {task: rows[:2] for task, rows in RECORD["rows"].items()}


def test_what_is_damaged_below_is_a_result_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(RECORD))
    assert {len(rows) for rows in scores.load(tmp_path / "x.json").rows.values()} == {2}


def refused(task: str, rows: list[Any], file: Path) -> None:
    file.write_text(json.dumps(RECORD | {"rows": RECORD["rows"] | {task: rows}}))
    with pytest.raises(UserError, match="not a result"):
        scores.load(file)


@pytest.mark.parametrize("task", scores.METRICS)
def test_a_task_without_rows_is_refused(task: str, tmp_path: Path) -> None:
    refused(task, [], tmp_path / "x.json")


@pytest.mark.parametrize(
    ("task", "name"), [(task, name) for task, names in scores.METRICS.items() for name in names]
)
def test_a_row_without_a_metric_or_with_no_number_is_refused(task: str, name: str, tmp_path: Path) -> None:
    first, *others = RECORD["rows"][task]
    values = {key: value for key, value in first["values"].items() if key != name}
    for changed in (
        values,
        values | {name: [float("nan"), 1]},
        values | {name: [0.5, -1]},
        values | {name: 0.5},
    ):
        refused(task, [first | {"values": changed}, *others], tmp_path / "x.json")


@pytest.mark.parametrize("task", scores.SEQUENCES)
@pytest.mark.parametrize("regrets", [[], [0.5], [float("nan")] * 25], ids=["empty", "short", "NaN"])
def test_regrets_that_are_not_of_their_sequence_are_refused(
    task: str, regrets: list[float], tmp_path: Path
) -> None:
    first, *others = RECORD["rows"][task]
    refused(task, [first | {"regrets": regrets}, *others], tmp_path / "x.json")


def test_a_mean_over_nothing_is_refused(tmp_path: Path) -> None:
    first, *others = RECORD["rows"][scores.RANGES]
    values = first["values"] | {"share_valid": [0, 0]}
    refused(scores.RANGES, [first | {"values": values}, *others], tmp_path / "x.json")


def test_each_kind_is_that_of_the_prompt_which_does_best(
    learnt_result: TinyResult, uniform_result: TinyResult
) -> None:
    swapped = {task: uniform_result.rows[task] for task in (COIN, RANGES)}
    mixed = learnt_result.model_copy(update={"rows": learnt_result.rows | swapped})
    swapped = {task: learnt_result.rows[task] for task in (COIN, RANGES)}
    other = uniform_result.model_copy(update={"rows": uniform_result.rows | swapped})
    best = best_of([mixed, other])
    assert best.mean(URN, "js_divergence") == min(one.mean(URN, "js_divergence") for one in (mixed, other))
    for task in SEQUENCES:
        assert best.regret(task).mean() == min(one.regret(task).mean() for one in (mixed, other))
    for task in SAMPLES:
        assert best.mean(task, "share_valid") == max(one.mean(task, "share_valid") for one in (mixed, other))
