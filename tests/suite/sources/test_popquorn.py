import csv
import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.popquorn import TASKS
from tests.messages import naming
from tests.suite.fixtures import popquorn as fixture

INDIVIDUALS, TEXTS = TASKS
HEADERS = fixture.HEADERS
ABSENT = {"no file of politeness_rating": 1, "no file of question_answering": 1}


def path(folder, part):
    return folder / f"Potato-Prolific-Dataset/dataset/{part}/raw_data.csv"


def raw(folder, part):
    with path(folder, part).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(folder, part, *rows):
    path(folder, part).parent.mkdir(parents=True)
    path(folder, part).write_text("\n".join((HEADERS[part], *rows)) + "\n", encoding="utf-8")


def answers(sequence):
    turns = sequence.messages[1:]
    return [(turns[i]["content"], turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


def outputs(sequences):
    return Counter(turn["content"] for s in sequences for turn in s.messages if turn["role"] == "output")


def build(task, folder, *, seed=0):
    dropped = Counter()
    return list(task.sequences(folder, seed=seed, dropped=dropped)), dropped


@pytest.fixture(scope="module")
def individuals(built):
    return built(INDIVIDUALS)


def test_every_annotation_by_a_known_person_is_an_output(suite_data, individuals):
    sequences, dropped = individuals
    expected = Counter(
        (f"email_rewriting/{row['user_id']}", row["original email"].strip(), row["revised email"].strip())
        for row in raw(suite_data, "email_rewriting")
        if row["user_id"]
    ) + Counter(
        (f"offensiveness/{row['user_id']}", row["text"].strip(), str(int(float(row["offensiveness"]))))
        for row in raw(suite_data, "offensiveness")
    )
    got = Counter((s.sequence_id, *pair) for s in sequences for pair in answers(s))
    assert got == expected
    # 2,346 e-mails, 80 of them by nobody, and 13,036 ratings.
    assert got.total() == 15302 and dropped == {"empty group": 80, **ABSENT}
    assert Counter(s.sequence_id.split("/")[0] for s in sequences) == {
        "email_rewriting": 227,
        "offensiveness": 262,
    }


def test_some_descriptions_name_the_traits(individuals):
    said = Counter(
        (s.sequence_id.split("/")[0], "gender: " in s.messages[0]["content"]) for s in individuals[0]
    )
    assert 40 < said["email_rewriting", True] < 115
    assert 90 < said["offensiveness", True] < 170


def test_every_text_is_an_output_once(suite_data, built):
    sequences, dropped = built(TEXTS)
    expected = {row["original email"].strip() for row in raw(suite_data, "email_rewriting")}
    expected |= {row["text"].strip() for row in raw(suite_data, "offensiveness")}
    assert outputs(sequences) == Counter(dict.fromkeys(expected, 1))
    assert len(expected) == 1429 + 1500
    assert dropped == {"text seen before": 2346 - 1429 + 13036 - 1500, **ABSENT}
    lengths = {
        part: [s.n_outputs for s in sequences if s.sequence_id.startswith(part)]
        for part in ("email", "offensiveness")
    }
    assert all(7 < len(each) < 18 for each in lengths.values())
    assert lengths["email"][:5] != lengths["offensiveness"][:5]
    for sequence in sequences:
        assert max(outputs([sequence]).values()) == 1


@pytest.mark.parametrize("task", TASKS)
def test_the_seed_alone_decides(built, task):
    assert built(task) == built(task)
    assert built(task)[0] != built(task, seed=1)[0]


def test_annotators_of_small_files(tmp_path):
    many = [f'{n},0.0,"Mail {n}, please",Dear {n},they,,,Student,' for n in range(6)]
    few = [f"{n},1.0,Mail {n},Dear {n},Man,White,,," for n in range(5)]
    write(tmp_path, "email_rewriting", *many, *few, "9,0.0,Again,,they,,,Student,", "9,,Hi,Hello,,,,,")
    ratings = ["1.0", "2", " 5.0", "2.5", "", "6.0"]
    write(
        tmp_path, "politeness_rating", *(f"{n},7,t{n},{each},Man,,30-34,," for n, each in enumerate(ratings))
    )
    sequences, dropped = build(INDIVIDUALS, tmp_path)
    assert {s.sequence_id: sorted(answers(s)) for s in sequences} == {
        "email_rewriting/0.0": [(f"Mail {n}, please", f"Dear {n}") for n in range(6)],
        "politeness_rating/7": [("t0", "1"), ("t1", "2"), ("t2", "5")],
    }
    assert dropped == {
        "annotator of fewer than 6 texts": 5,
        "empty output": 4,
        "empty group": 1,
        "no file of offensiveness": 1,
        "no file of question_answering": 1,
    }
    said = {build(INDIVIDUALS, tmp_path, seed=seed)[0][1].messages[0]["content"] for seed in range(20)}
    assert {"(gender: Man, age: 30-34)" in text for text in said} == {True, False}


def test_answers_are_grouped_by_equal_traits(tmp_path):
    rows = [f'{n},,"A passage, {n}",Who?,Ann,No answer,{n % 5 + 1}.0,Woman,Asian,,,' for n in range(6)]
    write(
        tmp_path,
        "question_answering",
        *rows,
        "6,,p,Why?,,so,1,Woman,Asian,,,",
        "7,,p,Why?,so,,1,Woman,Asian,,,",
        "8,,,Why?,so,so,1,Woman,Asian,,,",
        "9,,p,Why?,so,so,0,Woman,Asian,,,",
        "9,,p,Why?,so,so,1,,,,,",
    )
    (sequence,), dropped = build(INDIVIDUALS, tmp_path)
    assert sequence.sequence_id == "question_answering/gender: Woman, race: Asian"
    found = [(json.loads(shown), json.loads(given)) for shown, given in answers(sequence)]
    first = {"groundtruth": "Ann", "answer": "No answer", "difficulty": 1}
    assert ({"passage": "A passage, 0", "question": "Who?"}, first) in found
    assert ({"passage": "p", "question": "Why?"}, {"answer": "so", "difficulty": 1}) in found
    assert len(found) == 7
    assert {name: dropped[name] for name in ("empty output", "empty input", "empty group")} == {
        "empty output": 2,
        "empty input": 1,
        "empty group": 1,
    }


def test_texts_of_small_files(tmp_path):
    write(
        tmp_path, "offensiveness", "1,0,NA,1.0,,,,,", "1,1, NA ,2.0,,,,,", "2,0,Grüße,1.0,,,,,", "3,0,,1,,,,,"
    )
    sequences, dropped = build(TEXTS, tmp_path)
    assert outputs(sequences) == {"NA": 1, "Grüße": 1}
    assert [s.sequence_id for s in sequences] == ["offensiveness/0"]
    assert all("comments" in s.messages[0]["content"] for s in sequences)
    assert dropped["text seen before"] == 1 and dropped["empty output"] == 1
    file = path(tmp_path, "offensiveness")
    file.write_text(file.read_text("utf-8").replace(",text,", ",texts,"), "utf-8")
    for task in TASKS:
        with pytest.raises(UserError, match=naming("raw_data.csv", "'text'", "'texts'")):
            build(task, tmp_path)


def test_paper_sampling_takes_a_hundred_people_and_draws_twenty_sequences_of_each_part(
    suite_data, individuals
):
    found = list(INDIVIDUALS.sequences(suite_data, seed=0, paper=True))
    assert Counter(each.sequence_id.split("/")[0] for each in found) == {
        "email_rewriting": 100,
        "offensiveness": 100,
    }
    everybody = {each.sequence_id: each for each in individuals[0]}
    assert [each.sequence_id for each in found] != list(everybody)[:200]
    assert all(Counter(answers(each)) == Counter(answers(everybody[each.sequence_id])) for each in found)
    drawn = list(TEXTS.sequences(suite_data, seed=0, paper=True))
    assert Counter(each.sequence_id.split("/")[0] for each in drawn) == {
        "email_rewriting": 20,
        "offensiveness": 20,
    }
    assert 90 < sum(each.n_outputs for each in drawn) / 40 < 170
