import json
from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.titanic import FILE, TASKS
from tests.messages import naming

ALL, SURVIVAL = TASKS
HEADER = "PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked\n"


def records(task, sequences):
    """Return the records as JSON with sorted keys, survival put back where it is the output."""
    found = Counter()
    for sequence in sequences:
        texts = [turn["content"] for turn in sequence.messages[1:]]
        if task is ALL:
            found.update(json.dumps(json.loads(text), sort_keys=True) for text in texts)
        else:
            for shown, survived in zip(texts[::2], texts[1::2], strict=True):
                facts = json.loads(shown)
                assert "has_survived" not in facts
                facts["has_survived"] = json.loads(survived)
                found[json.dumps(facts, sort_keys=True)] += 1
    return found


@pytest.fixture(scope="module")
def expected(suite_data):
    if not (suite_data / FILE).exists():
        pytest.skip(f"needs {FILE}")
    frame = pd.read_csv(suite_data / FILE)
    found = Counter()
    for row in frame.to_dict("records"):
        facts = {
            "has_survived": row["Survived"] == 1,
            "passenger_class": row["Pclass"],
            "is_male": row["Sex"] == "male",
            "age": row["Age"],
            "sibsp": row["SibSp"],
            "parch": row["Parch"],
            "fare": row["Fare"],
            "embarked": row["Embarked"],
        }
        found[json.dumps(plain({k: v for k, v in facts.items() if not pd.isna(v)}), sort_keys=True)] += 1
    return found


def plain(facts):
    return {k: int(v) if isinstance(v, float) and v == int(v) else v for k, v in facts.items()}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_passenger_is_one_sample(built, expected, task):
    sequences, dropped = built(task)
    got = Counter()
    for record, count in records(task, sequences).items():
        got[json.dumps(plain(json.loads(record)), sort_keys=True)] += count
    assert got == expected
    assert sum(sequence.n_outputs for sequence in sequences) == expected.total() == 891
    assert dropped.total() == 0
    assert 7 < len(sequences) < 30
    assert sequences == built(task)[0] != built(task, seed=1)[0]


def test_survival_is_true_or_false_in_the_known_proportion(built):
    outputs = Counter(
        turn["content"] for s in built(SURVIVAL)[0] for turn in s.messages if turn["role"] == "output"
    )
    assert outputs == {"false": 549, "true": 342}


def test_the_two_tasks_have_orders_of_their_own(built):
    assert [s.n_outputs for s in built(ALL)[0]] != [s.n_outputs for s in built(SURVIVAL)[0]]


def test_facts_that_are_missing_or_unknown_are_left_out(tmp_path):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text(
        HEADER
        + '1,0,3,"Doe, Mr. John ""Jack""",male,0.42,1,0,A 5,7.25,,S\r\n'
        + "2,1,1,B, female ,,0,0,PC,71.2833,C85,\r\n"
        + "2,1,1,B, female ,,0,0,PC,71.2833,C85,\r\n"
        + "3,,2,C,male,30,0,0,x,0,,Q\n"
        + "4,2,2,D,male,30,0,0,x,0,,Q\n5,1,2,E,other,30,0,0,x,0,,Q\n6,1,2,F,male,thirty,0,0,x,0,,Q\n"
    )
    dropped = Counter()
    (sequence,) = ALL.sequences(tmp_path, seed=0, dropped=dropped)
    known = (
        '{"has_survived": true, "passenger_class": 1, "is_male": false, "sibsp": 0, "parch": 0, '
        '"fare": 71.2833}'
    )
    unsaid = (
        '{"passenger_class": 2, "is_male": true, "age": 30, "sibsp": 0, "parch": 0, "fare": 0, '
        '"embarked": "Q"}'
    )
    assert sorted(turn["content"] for turn in sequence.messages[1:]) == [
        '{"has_survived": false, "passenger_class": 3, "is_male": true, "age": 0.42, "sibsp": 1, "parch": 0, '
        '"fare": 7.25, "embarked": "S"}',
        known,
        known,
        '{"has_survived": true, "passenger_class": 2, "age": 30, "sibsp": 0, "parch": 0, "fare": 0, '
        '"embarked": "Q"}',
        '{"has_survived": true, "passenger_class": 2, "is_male": true, "sibsp": 0, "parch": 0, "fare": 0, '
        '"embarked": "Q"}',
        unsaid,
        unsaid,
    ]
    assert not dropped
    (sequence,) = SURVIVAL.sequences(tmp_path, seed=0, dropped=dropped)
    outputs = Counter(turn["content"] for turn in sequence.messages if turn["role"] == "output")
    assert outputs == {"false": 1, "true": 4}
    assert dropped == {"empty output": 2}


def test_a_renamed_column_is_named(tmp_path):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text(HEADER.replace("Survived", "survived") + "1,0,3,A,male,1,1,0,A,7,,S\n")
    with pytest.raises(UserError, match=naming("titanic.csv", "'Survived'", "'survived'")):
        list(ALL.sequences(tmp_path, seed=0))
