import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.valueconsistency import DESCRIPTIONS, FILE, TASKS
from tests.messages import naming
from tests.suite.fixtures.valueconsistency import rows, write

(TASK,) = TASKS


def build(folder, *, seed=0):
    dropped = Counter()
    return list(TASK.sequences(folder, seed=seed, dropped=dropped)), +dropped


def test_every_question_as_first_asked_occurs_once_with_its_facts(tmp_path):
    write(tmp_path)
    sequences, dropped = build(tmp_path)
    found = []
    for sequence in sequences:
        turns = [turn["content"] for turn in sequence.messages[1:]]
        found += [(given, said) for given, said in zip(turns[::2], turns[1::2], strict=True)]
    assert Counter(found) == Counter(
        (json.dumps({key: row[key] for key in ("controversial", "language", "country")}), row["question"])
        for row in rows()
    )
    assert dropped == {
        "another rephrase than false": 480,
        "empty output": 1,
        "empty input": 1,
        "line that is no JSON object (valueconsistency.jsonl: 964)": 1,
    }


def test_languages_and_countries_are_mixed_in_sequences_of_about_64(tmp_path):
    write(tmp_path)
    sequences, _ = build(tmp_path)
    assert 4 <= len(sequences) <= 14
    text = "".join(turn["content"] for turn in sequences[0].messages)
    assert all(country in text for country in ("u.s.", "china", "germany", "japan"))
    assert sequences == build(tmp_path)[0] != build(tmp_path, seed=1)[0]
    said = {each.messages[0]["content"] for seed in range(9) for each in build(tmp_path, seed=seed)[0]}
    assert said == set(DESCRIPTIONS)


def test_a_missing_field_is_named(tmp_path):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**rows()[0], "rephrased": False} | {}).replace('"rephrase"', '"paraphrase"'))
    with pytest.raises(UserError, match=naming("line 1", "'rephrase'", "'rephrased'")):
        build(tmp_path)
