from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.catalogue import suite_tasks
from tests.messages import naming
from tests.suite.fixtures import mmlu as fixture

MMLU = suite_tasks()["mmlu"]


@pytest.fixture
def data(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


def pairs(sequence):
    turns = [turn["content"] for turn in sequence.messages[1:]]
    return list(zip(turns[::2], turns[1::2], strict=True))


def test_every_question_is_asked_once_with_lettered_choices(data):
    dropped = Counter()
    sequences = list(MMLU.sequences(data, seed=0, dropped=dropped))
    assert [each.n_outputs for each in sequences] == [20, 20, 2]
    assert Counter(pair for each in sequences for pair in pairs(each)) == Counter(
        (f"Wie viel ist {n} + {n}?\nA. {2 * n}\nB. none\nC. two lines\nD. NA", "ABCD"[n % 4])
        for n in range(42)
    )
    assert dropped == {
        "question without text": 1,
        "choice without text, or fewer than two": 1,
        "answer that is none of the choices": 1,
    }


def test_paper_sampling_draws_a_thousand_sequences_of_twenty(data):
    found = list(MMLU.sequences(data, seed=0, paper=True))
    assert len(found) == 1000 and {each.n_outputs for each in found} == {20}
    assert all(len(set(pairs(each))) == 20 for each in found)
    assert len({pair for each in found for pair in pairs(each)}) == 42


def test_a_renamed_column_is_named(data):
    (path,) = data.rglob("*.parquet")
    pd.read_parquet(path).rename(columns={"answer": "answers"}).to_parquet(path)
    with pytest.raises(UserError, match=naming("'answer'", "'answers'")):
        list(MMLU.sequences(data, seed=0))
