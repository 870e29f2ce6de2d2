import csv
import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.jeopardy import TASKS

BY_NAME = {task.name: task for task in TASKS}
ANSWERS, QUESTIONS = BY_NAME["jeopardy_answer_prediction"], BY_NAME["jeopardy_question_generation"]


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


def outputs(sequences):
    return Counter(turn["content"] for s in sequences for turn in s.messages if turn["role"] == "output")


def test_every_clue_of_the_two_rounds_is_an_output_or_counted(suite_data, built):
    with (suite_data / "misc/JEOPARDY_CSV.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    two_rounds = Counter(row[5].strip() for row in rows if row[2] != "Final Jeopardy!")
    sequences, dropped = built(QUESTIONS)
    got = outputs(sequences)
    assert not got - two_rounds
    assert got.total() == 5589
    assert dropped == {"of another round": 100, "needs a picture, sound or film": 301}
    assert all("here" in clue or "<a" in clue or "clue]" in clue for clue in two_rounds - got)
    assert not any("href" in clue.lower() for clue in got)
    assert 50 < got.total() / len(sequences) < 80
    assert all(turn["role"] != "input" for turn in sequences[0].messages)
    assert built(QUESTIONS) == (sequences, dropped)
    assert built(QUESTIONS, seed=1)[0] != sequences


def test_clues_of_small_files(tmp_path):
    path = tmp_path / "misc" / "JEOPARDY_CSV.csv"
    path.parent.mkdir()
    rows = [
        'Jeopardy!,"He was, in 1492, ""first""","Columbus"',
        'Double Jeopardy!,"<A HREF=""http://a.b"">This</a> bird",owl',
        " Double Jeopardy!,NA,null",
        "Final Jeopardy!,A bird,owl",
        ",A bird,owl",
        "Jeopardy!,,owl",
    ]
    path.write_text(" Round, Question, Answer\r\n" + "\r\n".join(rows), encoding="utf-8-sig")
    dropped = Counter()
    (sequence,) = QUESTIONS.sequences(tmp_path, seed=0, dropped=dropped)
    assert outputs([sequence]) == {'He was, in 1492, "first"': 1, "NA": 1}
    assert dropped == {"of another round": 2, "needs a picture, sound or film": 1, "empty output": 1}
    path.write_text("Rounds,Question\nJeopardy!,Y\n")
    with pytest.raises(UserError, match="no column 'Round'. Did you mean 'Rounds'"):
        list(QUESTIONS.sequences(tmp_path, seed=0))
