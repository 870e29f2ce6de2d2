import ast
import json
from collections import Counter, defaultdict

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.globaloqa import FILE, TASKS
from tests.messages import naming

(GLOBALOQA,) = TASKS


def answers(sequence):
    turns = [turn["content"] for turn in sequence.messages[1:]]
    return list(zip(turns[::2], turns[1::2], strict=True))


@pytest.fixture
def write(tmp_path):
    def write(*rows, header=("question", "selections", "options", "source")):
        path = tmp_path / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=list(header)).to_csv(path, index=False)
        return tmp_path

    return write


def test_every_country_answers_all_its_questions_twice(suite_data, built):
    sequences, dropped = built(GLOBALOQA)
    expected = defaultdict(list)
    for row in pd.read_csv(suite_data / FILE).to_dict("records"):
        options = ast.literal_eval(row["options"])
        by_country = ast.literal_eval(row["selections"].removeprefix("defaultdict(<class 'list'>, ")[:-1])
        for country, shares in by_country.items():
            expected[country].append((row["question"].strip(), options, shares))
    assert [s.sequence_id for s in sequences] == [f"{name}/{i}" for name in expected for i in (0, 1)]
    for sequence in sequences:
        shown = [(json.loads(given), json.loads(output)) for given, output in answers(sequence)]
        wanted = expected[sequence.sequence_id.rpartition("/")[0]]
        assert Counter(given["question"] for given, _ in shown) == Counter(
            question for question, *_ in wanted
        )
        for given, output in shown:
            assert any(
                (given["question"], given["options"]) == (question, options)
                and [list(each) for each in output] == [[option] for option in options]
                and all(
                    abs(next(iter(each.values())) - 100 * share) <= 0.51
                    for each, share in zip(output, shares, strict=True)
                )
                for question, options, shares in wanted
            )
    assert len(sequences) == 2 * 128 and sum(s.n_outputs for s in sequences) == 2 * 1676
    assert dropped.total() == 0
    assert sequences == built(GLOBALOQA)[0] != built(GLOBALOQA, seed=1)[0]


def test_descriptions_name_the_country_or_say_that_none_is_named(built):
    named = 0
    for sequence in built(GLOBALOQA)[0]:
        said, country = sequence.messages[0]["content"], sequence.sequence_id.rpartition("/")[0]
        assert (country in said) != ("not named" in said) and "{" not in said
        named += country in said
    assert 0.35 < named / 256 < 0.65


def test_percents_are_rounded_and_broken_shares_counted(write):
    selections = (
        "defaultdict(<class 'list'>, {'Peru': [0.29, 0.71], 'Mali': [0, 0.0], 'Fiji': [1.0], 'Oman': "
        "[nan, 1.0], 'Chad': [1.5, 0.5]})"
    )
    folder = write(
        ("Tea, or “coffee”?\nOne only ", selections, "['Tea', \"Côte d'Or\"]", "x"),
        ("", "{}", "[]", "x"),
        ("How much?", "{'Peru': [0.125, 0.375, 0.5]}", "[1, 2.5, 'More']", "x"),
    )
    dropped = Counter()
    sequences = list(GLOBALOQA.sequences(folder, seed=0, dropped=dropped))
    assert [s.sequence_id for s in sequences] == ["Peru/0", "Peru/1", "Chad/0", "Chad/1"]
    question = '{"question": "Tea, or “coffee”?\\nOne only", "options": ["Tea", "Côte d\'Or"]}'
    assert answers(sequences[2]) == [(question, '[{"Tea": 75}, {"Côte d\'Or": 25}]')]
    assert sorted(answers(sequences[0])) == [
        (
            '{"question": "How much?", "options": ["1", "2.5", "More"]}',
            '[{"1": 12}, {"2.5": 38}, {"More": 50}]',
        ),
        (question, '[{"Tea": 29}, {"Côte d\'Or": 71}]'),
    ]
    assert dropped == {
        "shares that are all 0": 1,
        "not as many shares as options": 1,
        "share that is no number from 0 on": 1,
        "question without text": 1,
    }


def test_broken_cells_and_columns_are_named(write):
    folder = write(("Tea?", "{'Peru': [1]}", "['Yes'", "x"))
    with pytest.raises(UserError, match=naming("_opinions.csv", "row 1", "'options'", "list", "['Yes'")):
        list(GLOBALOQA.sequences(folder, seed=0))
    folder = write(("Tea?", "x"), header=("question", "selection"))
    with pytest.raises(UserError, match=naming("'selections'", "'selection'")):
        list(GLOBALOQA.sequences(folder, seed=0))
