from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.imdb import FILE, TASKS
from tests.messages import naming
from tests.suite.fixtures.imdb import USABLE, write

(TASK,) = TASKS


def build(folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(TASK.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def answers(sequence):
    turns = [turn["content"] for turn in sequence.messages[1:]]
    return list(zip(turns[::2], turns[1::2], strict=True))


def test_every_review_occurs_once_with_its_verdict(tmp_path):
    write(tmp_path)
    sequences, dropped = build(tmp_path)
    got = Counter(pair for sequence in sequences for pair in answers(sequence))
    assert got == Counter(
        (f"Film {n}.<br /><br />Très {{long}}.", ("negative", "positive")[n % 2]) for n in range(USABLE)
    )
    assert dropped == {"unknown label '-1'": 1, "empty input": 2}
    assert len(sequences) >= 2
    assert sequences == build(tmp_path)[0] != build(tmp_path, seed=1)[0]


def test_the_paper_draws_200_sequences_without_repeats_inside_one(tmp_path):
    write(tmp_path)
    sequences, _ = build(tmp_path, paper=True)
    assert len(sequences) == 200
    assert all(max(Counter(answers(sequence)).values()) == 1 for sequence in sequences)
    assert 100 < sum(sequence.n_outputs for sequence in sequences) / 200 < 160


def test_descriptions_name_both_verdicts(tmp_path):
    write(tmp_path)
    said = {sequence.messages[0]["content"] for sequence in build(tmp_path, paper=True)[0]}
    assert len(said) == 3 and all("negative" in each and "positive" in each for each in said)


def test_a_missing_column_is_named(tmp_path):
    write(tmp_path)
    pd.read_parquet(tmp_path / FILE).rename(columns={"label": "labels"}).to_parquet(tmp_path / FILE)
    with pytest.raises(UserError, match=naming(".parquet", "'label'", "'labels'")):
        build(tmp_path)
