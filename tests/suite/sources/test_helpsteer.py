import gzip
import json
import re
from collections import Counter

import numpy as np
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources import helpsteer
from spectrum_trl.suite.sources.helpsteer import TASKS
from tests.messages import naming
from tests.suite.fixtures.helpsteer import N_PROMPTS, rows, scores, write

(TASK,) = TASKS


def build(folder, *, seed=0):
    dropped = Counter()
    return list(TASK.sequences(folder, seed=seed, dropped=dropped)), +dropped


def answers(sequence):
    turns = [turn["content"] for turn in sequence.messages[1:]]
    return [(json.loads(given), said) for given, said in zip(turns[::2], turns[1::2], strict=True)]


def number(given):
    return int(re.search("[0-9]+", given["prompt"])[0])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("helpsteer")
    write(folder)
    return folder, *build(folder)


def test_every_user_sees_forty_different_prompts_as_they_are_in_the_file(data):
    _, sequences, dropped = data
    assert len(sequences) == 500
    shown = {
        (first["prompt"], first["response"], second["response"])
        for first, second in zip(rows()[::2], rows()[1::2], strict=True)
    }
    for sequence in sequences:
        found = [tuple(given.values()) for given, _ in answers(sequence)]
        assert len(found) == len(set(found)) == 40 and set(found) <= shown
    assert {number(given) for sequence in sequences for given, _ in answers(sequence)} == set(
        range(N_PROMPTS)
    )
    assert dropped == {
        "third or later response to a prompt": 1,
        "prompt with one response": 1,
        "row without prompt or response": 1,
        "row with a score that is not a number from 0 to 4": 2,
        "line that is no JSON object (train.jsonl.gz: 127)": 1,
    }


def test_choices_follow_from_the_weights_as_printed(data):
    _, sequences, _ = data
    stated = []
    for sequence in sequences:
        said = sequence.messages[0]["content"]
        found = re.findall(r"(-?[0-9]\.[0-9]{2}) × (\w+)", said)
        if not found:
            continue
        assert tuple(name for _, name in found) == helpsteer.QUALITIES
        weights = np.array([round(float(weight) * 100) for weight, _ in found])
        stated.append(weights)
        for given, choice in answers(sequence):
            difference = np.array(scores(number(given), 1)) - np.array(scores(number(given), 2))
            assert choice == ("1" if weights @ difference > 0 else "2")
            assert choice == "2" or number(given) % 10
    assert 120 < len(stated) < 210
    low, high = np.min(stated, axis=0), np.max(stated, axis=0)
    assert (low >= [-5, -5, -5, -50, -50]).all() and (low < [5, 5, 5, -40, -40]).all()
    assert (high <= [95, 95, 95, 50, 50]).all() and (high > [85, 85, 85, 40, 40]).all()


def test_descriptions_and_choices_vary_over_users_and_seeds(data):
    folder, sequences, _ = data
    said = Counter(sequence.messages[0]["content"].split(".")[0] for sequence in sequences)
    assert len(said) >= 3
    assert all(len({choice for _, choice in answers(sequence)}) == 2 for sequence in sequences[:20])
    assert build(folder)[0] == sequences != build(folder, seed=1)[0]


def test_a_file_without_pairs_or_a_field_is_refused(tmp_path):
    path = tmp_path / helpsteer.FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(json.dumps(rows()[0]).encode()))
    with pytest.raises(UserError, match=naming("train.jsonl.gz", "two", "responses")):
        build(tmp_path)
    path.write_bytes(gzip.compress(b'{"prompt": "a", "respons": "b"}'))
    with pytest.raises(UserError, match=naming("'response'", "'respons'")):
        build(tmp_path)
