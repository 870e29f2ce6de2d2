from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.catalogue import suite_tasks
from tests.messages import naming
from tests.suite.fixtures import winogrande as fixture

WINOGRANDE = suite_tasks()["winogrande"]


@pytest.fixture
def data(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


def test_every_sentence_is_shown_once_with_a_wide_blank(data):
    dropped = Counter()
    sequences = list(WINOGRANDE.sequences(data, seed=0, dropped=dropped))
    assert [each.n_outputs for each in sequences] == [10, 10, 2]
    turns = [turn["content"] for each in sequences for turn in each.messages[1:]]
    assert Counter(zip(turns[::2], turns[1::2], strict=True)) == Counter(
        (
            f"Sentence: Ann gave Bob {n} apples because _____ was hungry.\n"
            "Which option fits the blank?\nA. Ann\nB. Bob",
            "AB"[n % 2],
        )
        for n in range(22)
    )
    assert dropped == {"question without text": 1, "answer that is none of the choices": 1}
    assert WINOGRANDE.paper is None


def test_a_renamed_column_is_named(data):
    (path,) = data.rglob("*.parquet")
    pd.read_parquet(path).rename(columns={"sentence": "sentences"}).to_parquet(path)
    with pytest.raises(UserError, match=naming("'sentence'", "'sentences'")):
        list(WINOGRANDE.sequences(data, seed=0))
