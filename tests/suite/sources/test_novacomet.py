import json
from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.sources.novacomet import TASKS
from tests.messages import naming
from tests.suite.fixtures.novacomet import FILE, PREMISES, write

PREMISE, HYPOTHESIS = TASKS


def build(task, folder, *, seed=0):
    dropped = Counter()
    return list(task.sequences(folder, seed=seed, dropped=dropped)), +dropped


def turns(sequences):
    return [turn["content"] for sequence in sequences for turn in sequence.messages[1:]]


def test_every_premise_occurs_once(tmp_path):
    write(tmp_path)
    sequences, dropped = build(PREMISE, tmp_path)
    assert Counter(turns(sequences)) == Counter(
        ["It rains.", *(f"Person {n} eats “pie”." for n in range(PREMISES))]
    )
    assert dropped == {"premise seen before": PREMISES + 1, "empty output": 2}
    assert len(sequences) >= 2
    assert sequences == build(PREMISE, tmp_path)[0] != build(PREMISE, tmp_path, seed=1)[0]


def test_a_premise_comes_with_all_its_inferences_as_json(tmp_path):
    write(tmp_path)
    sequences, dropped = build(HYPOTHESIS, tmp_path)
    said = turns(sequences)
    assert dict(zip(said[::2], map(json.loads, said[1::2]), strict=True)) == {
        f"Person {n} eats “pie”.": [f"{n} is hungry", f"{n} is happy"] for n in range(PREMISES)
    }
    assert len(said) == 2 * PREMISES
    assert dropped == {"empty hypothesis": 3, "hypothesis without a premise": 1}
    assert sequences == build(HYPOTHESIS, tmp_path)[0] != build(HYPOTHESIS, tmp_path, seed=1)[0]


def test_inferences_may_be_lists_and_letters_stay_as_they_are(tmp_path):
    (tmp_path / "novacomet").mkdir()
    rows = [{"premise": "Où?", "hypothesis": ["Là.", None]}, {"premise": "Où?", "hypothesis": ["Ici."]}]
    path = tmp_path / "novacomet" / "all.jsonl"
    path.write_bytes("\r\n".join(map(json.dumps, rows)).encode("utf-8-sig"))
    ((sequence,), dropped) = build(HYPOTHESIS, tmp_path)
    assert turns([sequence]) == ["Où?", '["Là.", "Ici."]']
    assert dropped == {"empty hypothesis": 1}


def test_only_the_training_files_are_read_where_a_name_tells(tmp_path):
    write(tmp_path)
    pd.DataFrame({"premise": ["held out"], "hypothesis": ["x"]}).to_parquet(
        tmp_path / "novacomet" / "data" / "test-0.parquet"
    )
    assert "held out" not in turns(build(PREMISE, tmp_path)[0])


def test_descriptions_differ(tmp_path):
    write(tmp_path)
    for task, n_variants in ((PREMISE, 5), (HYPOTHESIS, 3)):
        said = {s.messages[0]["content"] for seed in range(8) for s in build(task, tmp_path, seed=seed)[0]}
        assert len(said) == n_variants
        assert all("JSON" in each for each in said) == (task is HYPOTHESIS)


def test_a_missing_column_or_file_is_named(tmp_path):
    write(tmp_path)
    pd.DataFrame({"premise": ["a"], "hypotheses": ["b"]}).to_parquet(tmp_path / FILE)
    with pytest.raises(UserError, match=naming("'hypothesis'", "'hypotheses'")):
        build(HYPOTHESIS, tmp_path)
    (tmp_path / FILE).unlink()
    assert PREMISE.missing(tmp_path) == list(PREMISE.files)
    with pytest.raises(MissingData, match=naming("novacomet", ".csv", ".json", ".jsonl", ".parquet")):
        build(PREMISE, tmp_path)
