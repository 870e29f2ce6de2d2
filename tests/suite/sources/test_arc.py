from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.catalogue import suite_tasks
from tests.messages import naming
from tests.suite.fixtures import arc as fixture

ARC = suite_tasks()["arc"]


@pytest.fixture
def data(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


def test_every_question_is_shown_once_with_the_labels_of_the_source(data):
    dropped = Counter()
    sequences = list(ARC.sequences(data, seed=0, dropped=dropped))
    assert [each.n_outputs for each in sequences] == [10, 10, 3]
    turns = [turn["content"] for each in sequences for turn in each.messages[1:]]
    found = dict(zip(turns[::2], turns[1::2], strict=True))
    assert len(found) == 23
    assert found["What is water 0?\n1. steam\n2. ice\n3. snow\n4. fog"] == "1"
    assert found["What is water 2?\nA. steam\nB. ice\nC. snow\nD. fog\nE. hail"] == "C"
    assert found["What is water 3?\nA. steam\nB. ice\nC. snow"] == "A"
    assert set(found.values()) == set("ABC123")
    assert dropped == {"answer that is none of the choices": 1, "not one label for each choice": 1}
    assert ARC.paper is None


def test_a_renamed_column_is_named(data):
    (path,) = data.rglob("*.parquet")
    pd.read_parquet(path).rename(columns={"answerKey": "answer_key"}).to_parquet(path)
    with pytest.raises(UserError, match=naming("'answerKey'", "'answer_key'")):
        list(ARC.sequences(data, seed=0))
