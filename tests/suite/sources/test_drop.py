from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.drop import TASKS
from tests.messages import naming
from tests.suite.fixtures import drop as fixture

(DROP,) = TASKS


@pytest.fixture
def data(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


def test_every_question_is_asked_once_and_the_first_answer_counts(data):
    dropped = Counter()
    sequences = list(DROP.sequences(data, seed=0, dropped=dropped))
    assert [each.n_outputs for each in sequences] == [10, 10, 3]
    turns = [turn["content"] for each in sequences for turn in each.messages[1:]]
    assert Counter(zip(turns[::2], turns[1::2], strict=True)) == Counter(
        (f"Passage: Ann threw {n} balls\u2028in 1999.\nQuestion: How many balls?", str(n)) for n in range(23)
    )
    assert dropped == {"empty output": 2, "empty input": 1}
    assert DROP.paper is None


def test_a_renamed_column_is_named(data):
    (path,) = data.rglob("*.parquet")
    pd.read_parquet(path).rename(columns={"passage": "passages"}).to_parquet(path)
    with pytest.raises(UserError, match=naming("'passage'", "'passages'")):
        list(DROP.sequences(data, seed=0))
