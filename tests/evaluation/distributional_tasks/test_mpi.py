from collections import Counter
from pathlib import Path

import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.evaluation.distributional_tasks.mpi import (
    ANSWERS,
    COLUMNS,
    QUESTIONS,
    TASKS,
    statement,
    statements,
)
from tests.messages import naming


def test_the_real_inventory_has_24_statements_of_each_trait(suite_data: Path) -> None:
    if not (suite_data / QUESTIONS).is_file():
        pytest.skip(f"needs {QUESTIONS} in {suite_data}")
    found = statements(suite_data / QUESTIONS)
    assert Counter(trait for _, trait in found) == dict.fromkeys("OCEAN", 24)
    assert statement(found[0][0]) == "You worry about things."


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    questions = tmp_path / QUESTIONS
    questions.parent.mkdir(parents=True)
    rows = [f"x\tDo thing {number}\t{'OCEAN'[number % 5]}\t1\n" for number in range(120)]
    questions.write_text("label_raw\ttext\tlabel_ocean\tkey\n" + "".join(rows))
    return tmp_path


def test_answers_are_counted_and_others_left_out(inventory: Path) -> None:
    people = [["5"] * 120, ["0"] * 120, ["5.0", "", "NA", "6", *["3"] * 116], ["x", *["1"] * 119]]
    lines = [",".join(COLUMNS), *(",".join(person) for person in people)]
    (inventory / ANSWERS).write_text("\n".join(lines))
    dropped: Counter[str] = Counter()
    items = TASKS[0].items(inventory, seed=0, dropped=dropped)
    assert len(items) == 120
    assert items[0].target == pytest.approx((1 / 3, 0, 0, 0, 0, 2 / 3))
    assert items[1].target == pytest.approx((1 / 3, 1 / 3, 0, 0, 0, 1 / 3))
    assert items[9].target == pytest.approx((1 / 4, 1 / 4, 0, 1 / 4, 0, 1 / 4))
    assert +dropped == {"missing answer": 2, "answer that is not 0 to 5": 2}
    assert Counter(item.group for item in items)["Openness"] == 24
    assert items[0].input.startswith("You do thing 0.\n") and "0: Strongly disagree" in items[0].input


def test_what_does_not_fit_is_named(inventory: Path, tmp_path: Path) -> None:
    path = inventory / QUESTIONS
    with pytest.raises(MissingData, match="mpi_human_resp"):
        TASKS[0].items(inventory, seed=0, dropped=Counter())
    path.write_text("text\tlabel\nA\tO\n")
    with pytest.raises(UserError, match=naming("column", "'label_ocean'", "text, label")):
        statements(path)
    path.write_text("text\tlabel_ocean\nA\tO\n")
    with pytest.raises(UserError, match=naming("mpi_questions.csv", 1, 120)):
        statements(path)
    with pytest.raises(MissingData, match=naming("none.csv", "exist")):
        statements(tmp_path / "none.csv")
