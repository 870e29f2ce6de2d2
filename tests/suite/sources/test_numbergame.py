import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources import numbergame
from spectrum_trl.suite.sources.numbergame import TASKS, ratings
from tests.messages import naming
from tests.suite.fixtures.numbergame import ROWS, write

INDIVIDUAL, SHARES = TASKS
DROPPED = {
    "row without a value": 2,
    "rating that is not 0 or 1": 1,
    "row with another number of fields than the header (numbergame_data.csv: 805)": 1,
}


def build(task, folder, *, seed=0):
    dropped = Counter()
    return list(task.sequences(folder, seed=seed, dropped=dropped)), +dropped


def answers(sequence):
    turns = [turn["content"] for turn in sequence.messages[1:]]
    return [(json.loads(given), said) for given, said in zip(turns[::2], turns[1::2], strict=True)]


def test_a_participant_gives_every_answer_once(tmp_path):
    write(tmp_path)
    sequences, dropped = build(INDIVIDUAL, tmp_path)
    assert [sequence.sequence_id for sequence in sequences] == ["0", "1", "27", "28"]
    for sequence in sequences:
        assert sorted(
            (given["numbers"], given["target"], said) for given, said in answers(sequence)
        ) == sorted(
            (shown.replace("_", ", "), target, "Yes" if yes else "No")
            for who, shown, target, yes in ROWS
            if who == sequence.sequence_id
        )
    assert dropped == DROPPED


def test_shares_are_of_all_who_saw_set_and_target(tmp_path):
    write(tmp_path)
    sequences, dropped = build(SHARES, tmp_path)
    found = [
        (given["numbers"], given["target"], said)
        for sequence in sequences
        for given, said in answers(sequence)
    ]
    expected = {("16, 8, 2, 64", target): "0%" for target in range(1, 101, 2)}
    expected |= {("16, 8, 2, 64", target): "50%" for target in range(2, 101, 2)}
    expected |= {("16, 8, 2, 64", target): "100%" for target in (4, 32)}
    expected |= {("98", target): "0%" for target in range(1, 61)}
    expected |= {(f"{first}, 7", target): "0%" for first in range(1, 6) for target in range(1, 101)}
    expected |= {(f"{first}, 7", first): "100%" for first in range(1, 6)}
    assert len(sequences) > 1
    assert sorted(found) == sorted((*key, share) for key, share in expected.items())
    assert dropped == DROPPED


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_order_and_description_depend_on_the_seed(tmp_path, task):
    write(tmp_path)
    assert build(task, tmp_path)[0] == build(task, tmp_path)[0] != build(task, tmp_path, seed=1)[0]
    found = {
        sequence.messages[0]["content"]
        for seed in range(20)
        for sequence in build(task, tmp_path, seed=seed)[0]
    }
    all_of_them = numbergame.INDIVIDUAL_DESCRIPTIONS if task is INDIVIDUAL else numbergame.SHARE_DESCRIPTIONS
    assert found == set(all_of_them)


@pytest.mark.parametrize("shown", ["2_4_8", '"[2, 4, 8]"', '"2,4,8"'])
def test_sets_are_read_however_they_are_written(tmp_path, shown):
    path = tmp_path / "numbergame_data.csv"
    path.write_text(f"set,target,rating,id\n{shown},16,1.0,p\n")
    (rating,) = ratings(path, dropped=Counter())
    assert rating == ("p", shown.strip('"'), "2, 4, 8", "16", "1")


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / numbergame.FILE
    path.parent.mkdir()
    path.write_text("set,target,ratings,id\n1,2,1,4\n")
    for task in TASKS:
        with pytest.raises(UserError, match=naming("'rating'", "'ratings'")):
            build(task, tmp_path)
