from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.catalogue import suite_tasks
from tests.messages import naming
from tests.suite.fixtures import hellaswag as fixture

HELLASWAG = suite_tasks()["hellaswag"]
ENDINGS = "Which ending fits best?\nA. pours it ✓.\nB. eats it.\nC. sings\nD. sleeps."


@pytest.fixture
def data(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


def test_every_text_is_shown_once_with_its_topic_and_endings(data):
    dropped = Counter()
    sequences = list(HELLASWAG.sequences(data, seed=0, dropped=dropped))
    assert [each.n_outputs for each in sequences] == [20, 20, 1]
    turns = [turn["content"] for each in sequences for turn in each.messages[1:]]
    expected = Counter(
        (f"Topic: Making tea\nText: Ann boils water number {n}. she\n{ENDINGS}", "ABCD"[n % 4])
        for n in range(40)
    )
    # Its beginning is put together from two parts.
    expected[f"Text: Ann boils water number 0. she\n{ENDINGS}", "A"] += 1
    assert Counter(zip(turns[::2], turns[1::2], strict=True)) == expected
    assert dropped == {"question without text": 1, "answer that is none of the choices": 1}
    assert HELLASWAG.paper is None


def test_a_renamed_column_is_named(data):
    (path,) = data.rglob("*.parquet")
    pd.read_parquet(path).rename(columns={"endings": "ending"}).to_parquet(path)
    with pytest.raises(UserError, match=naming("'endings'", "'ending'")):
        list(HELLASWAG.sequences(data, seed=0))
