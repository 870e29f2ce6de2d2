from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import Item
from spectrum_trl.evaluation.distributional_tasks.habermas import COLUMNS, FILE, TASKS
from tests.messages import naming


def rating(participant: Any, agreement: Any, **changes: Any) -> dict[str, Any]:
    return {
        "metadata.provenance": "HUMAN_CITIZEN",
        "question.id": 7,
        "question.text": "Should tea be free?",
        "question.affirming_statement": "Tea should be free.",
        "question.negating_statement": "Tea should not be free.",
        "ratings.agreement": agreement,
        "ratings.metadata.participant_id": participant,
        "worker_id": f"w{participant}",
        "unused": 1,
    } | changes


def built(folder: Path, rows: list[dict[str, Any]]) -> tuple[list[Item], Counter[str]]:
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path)
    dropped: Counter[str] = Counter()
    return TASKS[0].items(folder, seed=0, dropped=dropped), dropped


def test_the_first_usable_rating_of_each_participant_counts(tmp_path: Path) -> None:
    rows = [
        *(rating(n, ["AGREE"]) for n in range(4)),
        rating(4, ["MOCK"]),
        rating(4, ["STRONGLY_DISAGREE"]),
        rating(5, ["NEUTRAL"], worker_id=None),
        rating(5, ["NEUTRAL"]),
        rating(0, ["NEUTRAL"]),
        rating(9, ["AGREE"], **{"metadata.provenance": "MODEL_MEDIATOR"}),
        rating(9, []),
        *(rating(n, ["AGREE"], **{"question.id": 8}) for n in range(5)),
        rating(1, ["AGREE"], **{"question.id": 9, "question.negating_statement": None}),
    ]
    (item,), dropped = built(tmp_path, rows)
    assert item.target == pytest.approx((0, 4 / 6, 0, 1 / 6, 0, 0, 1 / 6))
    assert item.candidates == tuple("1234567") and item.cluster == "7"
    assert item.input == "Should tea be free?\nA: Tea should be free.\nB: Tea should not be free."
    assert dropped == {
        "rating MOCK": 1,
        "rating missing": 1,
        "rating by nobody known": 1,
        "further rating by the same participant": 1,
        "statement not written by a person": 1,
        "question with fewer than 6 ratings": 1,
        "question without text or statements": 1,
    }


def test_missing_columns_are_named_beside_those_found(tmp_path: Path) -> None:
    row = {name: value for name, value in rating(1, ["AGREE"]).items() if name not in COLUMNS[:2]}
    with pytest.raises(UserError, match=naming("'question.id'", "'question.text'")) as caught:
        built(tmp_path, [row])
    assert len(caught.value.problems) == 2 and "question.text, question.aff" in caught.value.problems[0]


def test_a_file_of_another_kind_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text("not parquet")
    with pytest.raises(UserError, match=naming(path, "not valid")):
        TASKS[0].items(tmp_path, seed=0, dropped=Counter())
