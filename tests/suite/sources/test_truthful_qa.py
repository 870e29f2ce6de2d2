from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.catalogue import suite_tasks
from tests.messages import naming
from tests.suite.fixtures import truthful_qa as fixture

TRUTHFUL_QA = suite_tasks()["truthful_qa"]


@pytest.fixture
def data(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


def test_every_question_is_shown_once_with_its_four_answers(data):
    dropped = Counter()
    sequences = list(TRUTHFUL_QA.sequences(data, seed=0, dropped=dropped))
    assert [each.n_outputs for each in sequences] == [10, 10]
    turns = [turn["content"] for each in sequences for turn in each.messages[1:]]
    assert Counter(zip(turns[::2], turns[1::2], strict=True)) == Counter(
        (f"Can pig {n} fly?\nA. Yes\nB. No\nC. At night\nD. In jets", "ABCD"[n % 4]) for n in range(20)
    )
    assert dropped == {"question without text": 1, "answer that is none of the choices": 1}
    assert TRUTHFUL_QA.paper is None


def test_a_renamed_column_is_named(data):
    (path,) = data.rglob("*.parquet")
    pd.read_parquet(path).rename(columns={"label": "labels"}).to_parquet(path)
    with pytest.raises(UserError, match=naming("'label'", "'labels'")):
        list(TRUTHFUL_QA.sequences(data, seed=0))
