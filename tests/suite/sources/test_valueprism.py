import json
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources import valueprism
from spectrum_trl.suite.sources.valueprism import TASKS
from spectrum_trl.suite.task import Data
from tests.messages import naming
from tests.suite.fixtures.valueprism import CLASSES, DIRT, N_SITUATIONS, rows, situation, write

SITUATION, VRD, NONCONTEXTUAL, MISC = TASKS
ALL = {situation(number) for number in range(N_SITUATIONS)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("valueprism")
    write(path)
    return path


def build(task, folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(task.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def outputs(sequences):
    assert all({turn["role"] for turn in sequence.messages[1:]} == {"output"} for sequence in sequences)
    return [turn["content"] for sequence in sequences for turn in sequence.messages[1:]]


def test_every_situation_occurs_once(folder):
    sequences, dropped = build(SITUATION, folder)
    found = outputs(sequences)
    assert len(found) == N_SITUATIONS and set(found) == ALL
    n_rows = len(rows()) + len(DIRT)
    assert dropped == {
        "row without situation": 1,
        "same situation as an earlier row": n_rows - 1 - N_SITUATIONS,
    }


def test_a_situation_comes_with_all_its_considerations_as_json(folder):
    sequences, dropped = build(VRD, folder)
    found = []
    for sequence in sequences:
        turns = [turn["content"] for turn in sequence.messages[1:]]
        for given, said in zip(turns[::2], turns[1::2], strict=True):
            for each in json.loads(said):
                assert list(each) == ["text", "vrd", "explanation", "valence"]
                found.append((given, each["vrd"], each["text"], each["explanation"], each["valence"]))
    assert Counter(found) == Counter(rows())
    assert "º" in "".join(turn["content"] for turn in sequences[0].messages)
    assert dropped == {
        "row without situation": 1,
        "row without explanation": 1,
        "same situation and vrd and text as an earlier row": 1,
        "vrd that is not one of Value, Right, Duty": 1,
        "valence that is not one of Supports, Opposes, Either": 2,
    }
    assert 35 < len(sequences) < 70
    assert VRD.paper.most == 500
    assert len(list(replace(VRD.paper, most=2)(Data(folder, 0, Counter())))) == 2


def test_considerations_are_in_an_order_of_the_seed(folder):
    orders = set()
    for seed in range(5):
        for sequence in build(VRD, folder, seed=seed)[0]:
            turns = [turn["content"] for turn in sequence.messages]
            if situation(2) in turns:
                said = json.loads(turns[turns.index(situation(2)) + 1])
                orders.add(tuple(each["text"] for each in said))
    assert len(orders) > 1 and len({frozenset(order) for order in orders}) == 1


def test_texts_of_a_class_are_different_and_the_class_is_named(folder):
    sequences, dropped = build(NONCONTEXTUAL, folder)
    for vrd in CLASSES:
        of_class = [each for each in sequences if each.sequence_id.split("/")[0] == vrd]
        found = outputs(of_class)
        expected = {row[2] for row in rows() + DIRT if row[1] == vrd}
        assert len(found) == len(expected) and set(found) == expected
        assert all(vrd in each.messages[0]["content"] for each in of_class)
    assert dropped["another vrd than Value or Right or Duty"] == 1
    assert len(outputs(sequences)) + dropped.total() == len(rows()) + len(DIRT)


def test_situations_of_a_frequent_value_whatever_the_class(folder):
    sequences, dropped = build(MISC, folder)
    found = {}
    for each in sequences:
        found.setdefault(each.sequence_id.split("/")[0], []).extend(outputs([each]))
    assert list(found) == ["Honesty", "Value nº 0", "Value nº 1", "Value nº 2", "Value nº 3"]
    for value, shown in found.items():
        expected = {row[0] for row in rows() if row[2] == value}
        assert len(shown) == len(expected) and set(shown) == expected
        assert all(value in each.messages[0]["content"] for each in sequences if value in each.sequence_id)
    assert len(found["Honesty"]) == 12
    assert sum(map(len, found.values())) + dropped.total() == len(rows()) + len(DIRT)


def test_the_paper_takes_one_sequence_of_each_of_400_values(folder):
    assert MISC.paper.rows.keywords == {"most": 400} and MISC.paper.draws == 1
    assert len(build(MISC, folder, paper=True)[0]) == 5
    few = replace(MISC.paper, rows=partial(MISC.build.rows, most=2))
    drawn = {tuple(name for name, _ in few(Data(folder, seed, Counter()))) for seed in range(9)}
    assert len(drawn) > 3 and all(len(names) == 2 for names in drawn)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_sequences_depend_on_the_seed_alone(folder, task):
    assert build(task, folder)[0] == build(task, folder)[0] != build(task, folder, seed=1)[0]


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / valueprism.FILE
    path.parent.mkdir(parents=True)
    path.write_text("situations,vrd,text,explanation,valence\na,Value,b,c,Supports\n")
    for task in (SITUATION, VRD, MISC):
        with pytest.raises(UserError, match=naming("'situation'", "'situations'")):
            build(task, tmp_path)
