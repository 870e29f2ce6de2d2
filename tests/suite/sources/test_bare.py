import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.builders import text
from spectrum_trl.suite.sources.bare import FILES, TASKS
from tests.messages import naming
from tests.suite.fixtures.bare import rows, write

BY_NAME = {task.name: task for task in TASKS}


def build(name, folder, *, seed=0):
    dropped = Counter()
    return list(BY_NAME[name].sequences(folder, seed=seed, dropped=dropped)), +dropped


def parts(sequences):
    """Return the turns of each sub-task: outputs, or pairs of input and output."""
    found = {}
    for sequence in sequences:
        turns = [turn["content"] for turn in sequence.messages[1:]]
        if sequence.messages[1]["role"] == "input":
            turns = list(zip(turns[::2], turns[1::2], strict=True))
        found.setdefault(sequence.sequence_id.split("/")[1], Counter()).update(turns)
    return found


def test_questions_and_answers_in_all_four_directions(tmp_path):
    write(tmp_path)
    sequences, dropped = build("bare_gsm8k", tmp_path)
    pear, plum = "Ann has 3 pears\u2028and eats 1.", "Bo has 4 plums."
    assert parts(sequences) == {
        "whole": Counter(
            json.dumps({"question": question, "answer": answer}, ensure_ascii=False)
            for question, answer in ((pear, "3-1=2"), (plum, "4"))
        ),
        "answer": Counter([(pear, "3-1=2"), (plum, "4")]),
        "question": Counter([("3-1=2", pear), ("4", plum)]),
        "question_alone": Counter([pear, plum, "Cy?"]),
    }
    assert dropped == {"empty output": 5, "empty input": 2}
    assert len({sequence.sequence_id for sequence in sequences}) == len(sequences) == 4


def test_spam_is_a_truth_value(tmp_path):
    write(tmp_path)
    sequences, dropped = build("bare_enron", tmp_path)
    win, gas = "Subject: WIN {now}\n\nClick.", "Subject: gas prices\n\nSee “attached”."
    found = parts(sequences)
    assert [json.loads(each) for each in sorted(found["whole"])] == [
        {"spam": False, "email": gas},
        {"spam": True, "email": win},
    ]
    assert found["label"] == Counter([(win, "true"), (gas, "false")])
    assert found["text"] == Counter([("true", win), ("false", gas)])
    assert found["text_alone"] == Counter([win, gas, "Subject: ?"])
    assert dropped == {"empty output": 2, "empty input": 1}
    for sequence in sequences:
        said = sequence.messages[0]["content"]
        assert ("true" in said and "false" in said) == ("text_alone" not in sequence.sequence_id)


def test_a_label_may_be_a_number(tmp_path):
    path = tmp_path / "BARE" / FILES["bare_enron"]
    path.parent.mkdir(parents=True)
    path.write_text('{"spam": 1, "email": "a"}\n{"spam": "False", "email": "b"}\n')
    sequences, _ = build("bare_enron", tmp_path)
    assert parts(sequences)["label"] == Counter([("a", "true"), ("b", "false")])


@pytest.mark.parametrize("name", ["bare_hotpot", "pubmed"])
def test_passages_questions_and_answers(tmp_path, name):
    write(tmp_path)
    sequences, dropped = build(name, tmp_path)
    found = parts(sequences)
    usable = [row for row in rows()[name] if row["context"]]
    assert found["whole"] == Counter(json.dumps(row) for row in usable)
    assert found["context_alone"] == Counter(row["context"] for row in usable)
    for asked, other in (("answer", "question"), ("question", "answer")):
        assert found[asked] == Counter(
            (json.dumps({"context": row["context"], other: row[other]}), row[asked]) for row in usable
        )
    assert dropped == ({"empty output": 2, "empty input": 2} if name == "bare_hotpot" else {})


@pytest.mark.parametrize(("name", "label", "body"), [("newsgroups", "newsgroup", "message")])
def test_posts_and_their_groups(tmp_path, name, label, body):
    write(tmp_path)
    found = parts(build(name, tmp_path)[0])
    assert found["label"] == Counter((row[body], row[label]) for row in rows()[name])
    assert found["text"] == Counter((row[label], row[body]) for row in rows()[name])


def test_a_broken_line_is_counted_once(tmp_path):
    write(tmp_path)
    sequences, dropped = build("bare_lcb", tmp_path)
    name = FILES["bare_lcb"].rsplit("/", 1)[1]
    assert dropped == {f"line that is no JSON object ({name}: 2)": 1}
    assert sum(sequence.n_outputs for sequence in sequences) == 4 * 2


def test_every_row_is_once_in_each_sub_task_and_in_an_order_of_its_own(tmp_path):
    path = tmp_path / "BARE" / FILES["bare_gsm8k"]
    path.parent.mkdir(parents=True)
    path.write_text("".join(f'{{"question": "q{n}", "answer": "a{n}"}}\n' for n in range(300)))
    sequences, _ = build("bare_gsm8k", tmp_path)
    assert all(counts.total() == 300 == len(counts) for counts in parts(sequences).values())
    numbers = {
        part: "".join(
            turn["content"]
            for s in sequences
            if s.sequence_id.split("/")[1] == part
            for turn in s.messages[1:]
        )
        for part in parts(sequences)
    }
    assert len({"".join(filter(str.isdigit, each))[:60] for each in numbers.values()}) == 4
    assert 4 * 5 < len(sequences) < 4 * 20
    assert sequences == build("bare_gsm8k", tmp_path)[0] != build("bare_gsm8k", tmp_path, seed=1)[0]


@pytest.mark.parametrize("name", list(FILES))
def test_each_task_has_two_descriptions_for_each_sub_task(tmp_path, name):
    write(tmp_path)
    said = {}
    for seed in range(12):
        for sequence in build(name, tmp_path, seed=seed)[0]:
            part = sequence.sequence_id.split("/")[1]
            said.setdefault(part, set()).add(sequence.messages[0]["content"])
    assert len(said) == 4 and all(len(each) == 2 for each in said.values())
    assert not any("{" in each or not text(each) for texts in said.values() for each in texts)


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "BARE" / FILES["pubmed"]
    path.parent.mkdir(parents=True)
    path.write_text('{"contex": "a", "question": "b", "answer": "c"}\n')
    with pytest.raises(UserError, match=naming("line 1", "'context'", "'contex'")):
        build("pubmed", tmp_path)
    assert BY_NAME["bare_lcb"].missing(tmp_path) == [f"BARE/{FILES['bare_lcb']}"]
