from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.sources import issuebench
from spectrum_trl.suite.sources.issuebench import TASKS
from tests.messages import naming
from tests.suite.fixtures.issuebench import TEMPLATES, TOPICS, write

(TASK,) = TASKS


def build(folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(TASK.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def outputs(sequence):
    assert {turn["role"] for turn in sequence.messages[1:]} == {"output"}
    return [turn["content"] for turn in sequence.messages[1:]]


def test_every_topic_and_template_of_the_full_files_occurs_once(tmp_path):
    write(tmp_path)
    (topics, templates), dropped = build(tmp_path)
    assert (topics.sequence_id, templates.sequence_id) == ("topic", "template")
    assert sorted(outputs(topics)) == sorted(TOPICS)
    assert sorted(outputs(templates)) == sorted(TEMPLATES)
    assert topics.messages[0]["content"] in issuebench.TOPIC_DESCRIPTIONS
    assert templates.messages[0]["content"] in issuebench.TEMPLATE_DESCRIPTIONS
    assert dropped == {"row without topic_text": 2, "row without template_text": 1}


def test_the_paper_shuffles_twice(tmp_path):
    write(tmp_path)
    sequences, _ = build(tmp_path, paper=True)
    assert [each.sequence_id for each in sequences] == ["topic/0", "topic/1", "template/0", "template/1"]
    assert sorted(outputs(sequences[0])) == sorted(outputs(sequences[1])) == sorted(TOPICS)
    assert outputs(sequences[0]) != outputs(sequences[1])


def test_order_and_description_depend_on_the_seed(tmp_path):
    write(tmp_path)
    assert build(tmp_path)[0] == build(tmp_path)[0] != build(tmp_path, seed=1)[0]
    said = {each.messages[0]["content"] for seed in range(20) for each in build(tmp_path, seed=seed)[0]}
    assert said == {*issuebench.TOPIC_DESCRIPTIONS, *issuebench.TEMPLATE_DESCRIPTIONS}


def test_a_missing_column_or_file_is_named(tmp_path):
    with pytest.raises(MissingData, match=naming("prompts_full-*.parquet", "exist")):
        build(tmp_path)
    folder = tmp_path / "hub" / "issuebench" / "prompts"
    folder.mkdir(parents=True)
    pd.DataFrame({"topic": ["a"], "template_text": ["b"]}).to_parquet(folder / "prompts_full-0.parquet")
    with pytest.raises(UserError, match=naming("'topic_text'", "'topic'")):
        build(tmp_path)
