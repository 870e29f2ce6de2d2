import csv
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.jeopardy import TASKS
from tests.messages import naming

BY_NAME = {task.name: task for task in TASKS}
ANSWERS, QUESTIONS = BY_NAME["jeopardy_answer_prediction"], BY_NAME["jeopardy_question_generation"]


def answers(sequence):
    turns = sequence.messages[1:]
    return [(turns[i]["content"], turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


@pytest.fixture(scope="module")
def clues(built):
    return built(ANSWERS)


def test_every_clue_of_the_two_rounds_is_asked_once_or_counted(suite_data, clues):
    with (suite_data / "misc/JEOPARDY_CSV.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    every = Counter((row[5].strip(), row[6].strip()) for row in rows if row[2] != "Final Jeopardy!")
    sequences, dropped = clues
    got = Counter(pair for s in sequences for pair in answers(s))
    assert not got - every
    assert got.total() + dropped.total() == len(rows)
    assert dropped == {"of another round": 100, "needs a picture, sound or film": 301}
    assert all("here" in clue or "<a" in clue or "clue]" in clue for clue, _ in every - got)
    assert not any("<a" in clue or "http" in clue for clue, _ in got)
    assert (rows[0][5], "Copernicus") in got


def test_shows_are_mixed_in_sequences_of_about_64(suite_data, clues):
    lengths = [sequence.n_outputs for sequence in clues[0]]
    assert 50 < sum(lengths) / len(lengths) < 80
    with (suite_data / "misc/JEOPARDY_CSV.csv").open(encoding="utf-8-sig", newline="") as file:
        shows = {row[5].strip(): row[0] for row in list(csv.reader(file))[1:]}
    longest = max(clues[0], key=lambda sequence: sequence.n_outputs)
    assert len({shows[clue] for clue, _ in answers(longest)}) > 10


def test_the_seed_alone_decides_and_the_tasks_have_orders_of_their_own(built, clues):
    assert clues == built(ANSWERS)
    assert clues[0] != built(ANSWERS, seed=1)[0]
    assert [s.n_outputs for s in clues[0]] != [s.n_outputs for s in built(QUESTIONS)[0]]


def test_paper_sampling_stops_at_a_thousand_sequences(suite_data):
    for task in TASKS:
        assert task.paper.most == 1000
        whole = list(task.sequences(suite_data, seed=0))
        assert list(task.sequences(suite_data, seed=0, paper=True)) == whole[:1000]


def test_clues_that_need_media_or_lack_a_part_are_counted(tmp_path):
    path = tmp_path / "misc" / "JEOPARDY_CSV.csv"
    path.parent.mkdir()
    rows = [
        'Jeopardy!,X,"He was, in 1492, ""first""","Columbus"',
        'Jeopardy!,X,"<a href=""http://a.b"">This</a> bird",owl',
        "Jeopardy!,X,Bird seen here,owl",
        "Double Jeopardy!,X,[video clue],owl",
        "Jeopardy!,X,,owl",
        "Jeopardy!,,A bird,owl",
        "Jeopardy!,X,A bird,",
        "Final Jeopardy!,X,A bird,owl",
        "Double Jeopardy!,ÄÖ,NA,None",
    ]
    path.write_text("Round, Category, Question, Answer\r\n" + "\r\n".join(rows), encoding="utf-8-sig")
    dropped = Counter()
    (sequence,) = ANSWERS.sequences(tmp_path, seed=0, dropped=dropped)
    assert sorted(answers(sequence)) == [('He was, in 1492, "first"', "Columbus"), ("NA", "None")]
    assert dropped == {
        "needs a picture, sound or film": 3,
        "without clue, answer or category": 3,
        "of another round": 1,
    }
    path.write_text("Round,Category,Questoin,Answer\nX,X,Y,Z\n")
    with pytest.raises(UserError, match=naming("'Question'", "'Questoin'")):
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
        'Jeopardy!,X,"He was, in 1492, ""first""","Columbus"',
        'Double Jeopardy!,X,"<A HREF=""http://a.b"">This</a> bird",owl',
        " Double Jeopardy!,X,NA,null",
        "Final Jeopardy!,X,A bird,owl",
        ",X,A bird,owl",
        "Jeopardy!,X,,owl",
    ]
    path.write_text(" Round, Category, Question, Answer\r\n" + "\r\n".join(rows), encoding="utf-8-sig")
    dropped = Counter()
    (sequence,) = QUESTIONS.sequences(tmp_path, seed=0, dropped=dropped)
    assert outputs([sequence]) == {'He was, in 1492, "first"': 1, "NA": 1}
    assert dropped == {
        "of another round": 2,
        "needs a picture, sound or film": 1,
        "without clue, answer or category": 1,
    }
    path.write_text("Rounds,Category,Question,Answer\nJeopardy!,X,Y,Z\n")
    with pytest.raises(UserError, match=naming("'Round'", "'Rounds'")):
        list(QUESTIONS.sequences(tmp_path, seed=0))
