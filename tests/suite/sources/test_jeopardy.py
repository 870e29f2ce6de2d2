import csv
import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.jeopardy import TASKS

ANSWERS = {task.name: task for task in TASKS}["jeopardy_answer_prediction"]


def answers(sequence):
    turns = sequence.messages[1:]
    return [(json.loads(turns[i]["content"]), turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


@pytest.fixture(scope="module")
def clues(built):
    return built(ANSWERS)


def test_every_clue_is_asked_once_or_counted(suite_data, clues):
    with (suite_data / "misc/JEOPARDY_CSV.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    every = Counter((row[3].strip(), row[5].strip(), row[6].strip()) for row in rows)
    sequences, dropped = clues
    got = Counter(
        (shown["category"], shown["clue"], answer) for s in sequences for shown, answer in answers(s)
    )
    assert not got - every
    assert got.total() + dropped.total() == len(rows)
    left_out = every - got
    assert all("here" in clue or "<a" in clue or "clue]" in clue for _, clue, _ in left_out)
    assert not any("<a" in clue or "http" in clue for _, clue, _ in got)
    assert ("HISTORY", rows[0][5], "Copernicus") in got


def test_lengths_are_drawn_with_a_mean_of_24(clues):
    lengths = [sequence.n_outputs for sequence in clues[0]]
    assert 20 < sum(lengths) / len(lengths) < 28
    assert len(set(lengths)) > 20
    assert [sequence.sequence_id for sequence in clues[0]] == [str(number) for number in range(len(lengths))]


def test_shows_are_mixed(suite_data, clues):
    with (suite_data / "misc/JEOPARDY_CSV.csv").open(encoding="utf-8-sig", newline="") as file:
        shows = {(row[3], row[5]): row[0] for row in list(csv.reader(file))[1:]}
    longest = max(clues[0], key=lambda sequence: sequence.n_outputs)
    assert len({shows.get((shown["category"], shown["clue"])) for shown, _ in answers(longest)}) > 10


def test_the_seed_alone_decides(built, clues):
    assert clues == built(ANSWERS)
    assert clues[0] != built(ANSWERS, seed=1)[0]


def test_clues_that_need_media_or_lack_a_part_are_counted(tmp_path):
    path = tmp_path / "misc" / "JEOPARDY_CSV.csv"
    path.parent.mkdir()
    rows = [
        'X,"He was, in 1492, ""first""","Columbus"',
        'X,"<a href=""http://a.b"">This</a> bird",owl',
        "X,Bird seen here,owl",
        "X,[video clue],owl",
        "X,,owl",
        ",A bird,owl",
        "X,A bird,",
        "ÄÖ,NA,None",
    ]
    path.write_text("Category, Question, Answer\r\n" + "\r\n".join(rows), encoding="utf-8-sig")
    dropped = Counter()
    (sequence,) = ANSWERS.sequences(tmp_path, seed=0, dropped=dropped)
    assert sorted(answers(sequence), key=str) == [
        ({"category": "X", "clue": 'He was, in 1492, "first"'}, "Columbus"),
        ({"category": "ÄÖ", "clue": "NA"}, "None"),
    ]
    assert "ÄÖ" in str(sequence.messages)
    assert dropped == {"needs a picture, sound or film": 3, "empty input": 2, "empty output": 1}
    path.write_text("Category,Questoin,Answer\nX,Y,Z\n")
    with pytest.raises(UserError, match="no column 'Question'. Did you mean 'Questoin'"):
        list(ANSWERS.sequences(tmp_path, seed=0))
