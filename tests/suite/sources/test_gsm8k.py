import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.gsm8k import FILE, TASKS
from tests.messages import naming

QUESTION, ANSWER, BOTH, BACK = TASKS


def turns(sequence):
    return [turn["content"] for turn in sequence.messages[1:]]


def samples(task, sequence):
    """Return (question, answer) of each sample, None for what the task does not show."""
    texts = turns(sequence)
    if task is QUESTION:
        return [(text, None) for text in texts]
    if task is BOTH:
        return [tuple(json.loads(text).values()) for text in texts]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    return pairs if task is ANSWER else [(question, answer) for answer, question in pairs]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_row_is_one_sample_of_each_task(suite_data, built, task):
    rows = [json.loads(line) for line in (suite_data / FILE).read_text("utf-8").splitlines()]
    sequences, dropped = built(task)
    got = Counter(pair for sequence in sequences for pair in samples(task, sequence))
    assert got == Counter(
        (row["question"].strip(), None if task is QUESTION else row["answer"]) for row in rows
    )
    assert got.total() == sum(sequence.n_outputs for sequence in sequences) == len(rows)
    assert dropped.total() == 0
    mean = len(rows) / len(sequences)
    assert 40 < mean < 110
    assert len({sequence.sequence_id for sequence in sequences}) == len(sequences)
    assert sequences == built(task)[0] != built(task, seed=1)[0]


def test_no_two_tasks_share_order_or_lengths(built):
    found = {
        task.name: (
            [sequence.n_outputs for sequence in built(task)[0]],
            [question for sequence in built(task)[0] for question, _ in samples(task, sequence)],
        )
        for task in TASKS
    }
    for place in (0, 1):
        assert len({tuple(each[place]) for each in found.values()}) == 4


def test_empty_parts_are_counted_and_marks_stay(tmp_path):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    rows = [
        {"question": "Ann had 3 pears\u2028and ate one?", "answer": "3-1 = <<3-1=2>>2\n#### 2"},
        {"question": "", "answer": "1"},
        {"question": "How many?", "answer": None},
        {"question": "Ann had 3 pears\u2028and ate one?", "answer": "3-1 = <<3-1=2>>2\n#### 2"},
    ]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n", "utf-8")
    expected = [(QUESTION, ["empty output"]), (BOTH, ["empty output"] * 2)]
    expected += [(task, ["empty output", "empty input"]) for task in (ANSWER, BACK)]
    for task, reasons in expected:
        dropped = Counter()
        sequences = list(task.sequences(tmp_path, seed=0, dropped=dropped))
        assert dropped == Counter(reasons)
        got = Counter(pair for sequence in sequences for pair in samples(task, sequence))
        answer = None if task is QUESTION else rows[0]["answer"]
        assert got[rows[0]["question"], answer] == 2
        assert got.total() == 4 - len(reasons)


def test_a_lacking_key_is_named(tmp_path):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text('{"question": "a", "answr": "b"}\n')
    with pytest.raises(UserError, match=naming("train.jsonl", "line 1", "'answer'", "'answr'")):
        list(ANSWER.sequences(tmp_path, seed=0))
    path.write_text("")
    with pytest.raises(UserError, match=naming("train.jsonl", "empty")):
        list(ANSWER.sequences(tmp_path, seed=0))
    path.unlink()
    assert all(task.missing(tmp_path) == [FILE] for task in TASKS)


def test_paper_sampling_draws_fifty_sequences(suite_data):
    for task in TASKS:
        found = list(task.sequences(suite_data, seed=0, paper=True))
        assert len(found) == 50 and 2000 < sum(each.n_outputs for each in found) < 4500
        assert all(len(set(turns(each))) == len(turns(each)) for each in found)
