import csv
import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.dices import TASKS
from tests.messages import naming
from tests.suite.fixtures import dices as fixture

(DICES,) = TASKS
HEADERS = fixture.HEADERS


def path(folder, part):
    return folder / f"dices-dataset/{part}/diverse_safety_adversarial_dialog_{part}.csv"


def write(folder, part, *rows):
    path(folder, part).parent.mkdir(parents=True, exist_ok=True)
    path(folder, part).write_text("\n".join((HEADERS[part], *rows)) + "\n", encoding="utf-8")


def answers(sequence):
    turns = sequence.messages[1:]
    return [(json.loads(turns[i]["content"]), turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


def test_every_rating_of_the_excerpts_is_an_output(suite_data, built):
    sequences, dropped = built(DICES)
    expected = Counter()
    for part in HEADERS:
        with path(suite_data, part).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                shown = row["context"].replace("\\n", "\n").strip(), row["response"].strip()
                expected[f"{part}/{row['rater_id']}/0", *shown, row["Q_overall"]] += 1
    got = Counter((s.sequence_id, *shown.values(), answer) for s in sequences for shown, answer in answers(s))
    assert got == expected
    assert len(sequences) == got.total() == 8 and not dropped
    assert not any("\\n" in shown["context"] for s in sequences for shown, _ in answers(s))


def test_raters_of_small_files(tmp_path):
    write(
        tmp_path,
        "990",
        r'0,11,Woman,IN,Asian,Indian,gen z,Other,Phase1,1,"A: hi\nB: ""hello""\n",no,Benign,None,No',
        '1,11,Woman,IN,Asian,Indian,gen z,Other,Phase1,2,"A: hi\nyou",yes,Benign,None,Unsure',
        "2,11,Woman,IN,Asian,Indian,gen z,Other,Phase1,3,A: hi,yes,Benign,None,",
        "3,11,Woman,IN,Asian,Indian,gen z,Other,Phase1,4,A: hi, ,Benign,None,Yes",
        "4,,Man,US,White,White,gen z,Other,Phase1,1,A: hi,no,Benign,None,No",
    )
    write(tmp_path, "350", "0,11,,,,,,Phase3,1,USER: oi ✓,no,Benign,None,Yes")
    dropped, said = Counter(), set()
    for seed in range(20):
        dropped.clear()
        first, second = DICES.sequences(tmp_path, seed=seed, dropped=dropped)
        said |= {(first.sequence_id, first.messages[0]["content"])}
        assert "(" not in second.messages[0]["content"].replace("(Yes / No / Unsure)", "")
    assert sorted(answers(first), key=str) == [
        ({"context": 'A: hi\nB: "hello"', "response": "no"}, "No"),
        ({"context": "A: hi\nyou", "response": "yes"}, "Unsure"),
    ]
    assert (second.sequence_id, answers(second)) == (
        "350/11/0",
        [({"context": "USER: oi ✓", "response": "no"}, "Yes")],
    )
    traits = (
        "(gender: Woman, locale: IN, race: Asian, race as stated: Indian, age group: gen z, education: Other)"
    )
    assert {traits in text for _, text in said} == {True, False}
    assert dropped == {"not Yes, No or Unsure": 1, "empty input": 1, "empty group": 1}


def test_a_rater_is_cut_into_sequences_of_a_hundred(tmp_path):
    rows = [f"{n},7,Man,US,White,White,gen z,Other,Phase1,{n},A: {n},no,Benign,None,No" for n in range(250)]
    write(tmp_path, "990", *rows)
    write(tmp_path, "350", "0,9,Man,White,White,gen x+,Other,Phase3,1,USER: oi,no,Benign,None,Yes")
    sequences = list(DICES.sequences(tmp_path, seed=0))
    assert [(s.sequence_id, s.n_outputs) for s in sequences] == [
        ("990/7/0", 100),
        ("990/7/1", 100),
        ("990/7/2", 50),
        ("350/9/0", 1),
    ]
    assert len({shown["context"] for s in sequences for shown, _ in answers(s)}) == 251
    assert sequences == list(DICES.sequences(tmp_path, seed=0))
    assert sequences != list(DICES.sequences(tmp_path, seed=1))


def test_a_renamed_column_is_named(tmp_path):
    write(tmp_path, "990", "0,7,Man,US,White,White,gen z,Other,Phase1,1,A: hi,no,Benign,None,No")
    write(tmp_path, "350", "0,9,Man,White,White,gen x+,Other,Phase3,1,USER: oi,no,Benign,None,Yes")
    file = path(tmp_path, "350")
    file.write_text(file.read_text().replace("rater_raw_race", "rater_race_raw"))
    with pytest.raises(UserError, match=naming("_350.csv", "'rater_raw_race'", "'rater_race'")):
        list(DICES.sequences(tmp_path, seed=0))


def test_paper_sampling_draws_a_hundred_ratings_of_each_rater(tmp_path):
    fixture.write(tmp_path)
    found = list(DICES.sequences(tmp_path, seed=0, paper=True))
    assert Counter(sequence.n_outputs for sequence in found) == {100: 2, 4: 4}
    assert sum(s.n_outputs for s in DICES.sequences(tmp_path, seed=0)) == 2 * (130 + 8)
