import json
from collections import Counter
from dataclasses import replace

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources import hatespeech
from spectrum_trl.suite.sources.hatespeech import TASKS
from spectrum_trl.suite.task import Data
from tests.messages import naming
from tests.suite.fixtures.hatespeech import N_COMMENTS, RATERS, comment, rating, score, write

(TASK,) = TASKS


def build(folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(TASK.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def answers(sequences):
    turns = [turn["content"] for sequence in sequences for turn in sequence.messages[1:]]
    return Counter(zip(turns[::2], turns[1::2], strict=True))


def test_a_rater_is_all_that_is_said_about_them(tmp_path):
    write(tmp_path)
    sequences, dropped = build(tmp_path)
    by_rater = {}
    for sequence in sequences:
        by_rater.setdefault(sequence.sequence_id.split("/")[0], []).append(sequence)
    assert len(by_rater) == 3
    for place, found in enumerate(by_rater.values()):
        assert answers(found) == Counter(
            (comment(number), str(score(place, number))) for number in range(N_COMMENTS)
        )
    assert dropped == {
        "line that is no JSON object (classified_data_final_w_worker_hash.json: 11)": 1,
        "score that is not a whole number from 0 to 4": 3,
        "rating without anything about its rater": 1,
        "empty input": 1,
        "line without ratings": 1,
    }


def test_the_name_of_a_rater_is_the_same_in_every_run():
    assert hatespeech.rater(rating(RATERS[0], 1)) == hatespeech.rater(
        dict(reversed(rating(RATERS[0], 4).items()))
    )
    assert hatespeech.rater({"worker_hash": "aa11"}) == "98ef3a5e5b0e2496"


def test_the_paper_takes_one_sequence_of_each_of_the_first_thousand(tmp_path):
    write(tmp_path)
    assert (TASK.paper.draws, TASK.paper.most) == (1, 1000)
    sequences, _ = build(tmp_path, paper=True)
    assert [each.sequence_id.split("/")[1] for each in sequences] == ["0"] * 3
    found = list(replace(TASK.paper, most=2)(Data(tmp_path, 0, Counter())))
    assert [name for name, _ in found] == [each.sequence_id for each in sequences[:2]]


def test_order_and_description_depend_on_the_seed(tmp_path):
    write(tmp_path)
    assert build(tmp_path)[0] == build(tmp_path)[0] != build(tmp_path, seed=1)[0]
    said = {each.messages[0]["content"] for seed in range(9) for each in build(tmp_path, seed=seed)[0]}
    assert said == set(hatespeech.DESCRIPTIONS)


def test_a_missing_field_is_named(tmp_path):
    path = tmp_path / hatespeech.FILE
    path.parent.mkdir()
    path.write_text(json.dumps({"comment": "a", "rating": []}))
    with pytest.raises(UserError, match=naming("line 1", "'ratings'", "'rating'")):
        build(tmp_path)
