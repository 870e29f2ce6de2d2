import json
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.habermas import OPINIONS_FILE, RATINGS_FILE, TASKS
from spectrum_trl.suite.task import Data
from tests.messages import naming
from tests.suite.fixtures import habermas as fixture

QUESTION, INDIVIDUAL, INDIVIDUAL_CATEGORICAL, OPINIONS, CATEGORICAL = TASKS
SCALE = "Strongly Agree, Agree, Somewhat Agree, Neutral, Somewhat Disagree, Disagree, Strongly Disagree"


def rating(worker, question, agreement, **changes):
    asked = {1: ("Should tea be free?", "Tea should be {free}."), 2: ("Is rain good?", "Rain is good.")}
    text, statement = asked[question]
    return {
        "worker_id": worker,
        "question.id": question,
        "question.text": text,
        "question.affirming_statement": statement,
        "question.negating_statement": "No.",
        "ratings.agreement": agreement,
        "unused": 1,
    } | changes


def opinion(worker, question, text):
    return {"worker_id": worker, "question.id": question, "opinion.text": text, "round": 1}


@pytest.fixture
def tiny(tmp_path):
    ratings = [
        rating("w1", 1, ["MOCK"]),
        rating("w1", 1, ["AGREE"]),
        rating("w1", 1, ["DISAGREE"]),
        rating("w1", 2, ["SOMEWHAT_DISAGREE"]),
        rating("w2", 1, ["STRONGLY_AGREE"]),
        rating("w3", 1, ["NEUTRAL"]),
        rating(None, 1, ["NEUTRAL"]),
        rating("w4", 1, []),
        rating("w4", 1, None),
        rating("w4", 2, ["AGREE", "AGREE"]),
        rating("w5", 2, ["STRONGLY_DISAGREE"], **{"question.affirming_statement": None}),
    ]
    opinions = [
        opinion("w1", 1, None),
        opinion("w1", 1, " Yes, “tea” for all. "),
        opinion("w1", 1, "Later thoughts."),
        opinion("w1", 2, "It is wet."),
        opinion("w2", 1, "Tea!"),
        opinion("w9", 2, "Nobody knows me."),
        opinion(None, 2, "Me neither."),
    ]
    (tmp_path / RATINGS_FILE).parent.mkdir()
    pd.DataFrame(ratings).to_parquet(tmp_path / RATINGS_FILE)
    pd.DataFrame(opinions).to_parquet(tmp_path / OPINIONS_FILE)
    return tmp_path


LEFT_OUT = {
    "rating by nobody known": 1,
    "rating MOCK": 1,
    "rating missing": 3,
    "question without id, text or statement": 1,
    "further rating by the same participant": 1,
}
WITHOUT_OPINION = LEFT_OUT | {
    "response without an opinion": 1,
    "further opinion by the same participant": 1,
    "rating without an opinion": 1,
    "opinion without a rating": 2,
}


def build(task, folder, *, seed=0):
    dropped = Counter()
    found = list(task.sequences(folder, seed=seed, dropped=dropped))
    return {sequence.sequence_id: sequence.messages for sequence in found}, +dropped


def answers(messages):
    turns = [turn["content"] for turn in messages[1:]]
    return sorted(
        (json.loads(given)["question"], json.loads(given)["statement"], said)
        for given, said in zip(turns[::2], turns[1::2], strict=True)
    )


def outputs(messages):
    assert {turn["role"] for turn in messages[1:]} == {"output"}
    return sorted(turn["content"] for turn in messages[1:])


RAIN, TEA = ("Is rain good?", "Rain is good."), ("Should tea be free?", "Tea should be {free}.")


def test_questions_are_different(tiny):
    found, dropped = build(QUESTION, tiny)
    assert {name: outputs(messages) for name, messages in found.items()} == {"0": [RAIN[0], TEA[0]]}
    assert dropped == LEFT_OUT | {"question seen before": 2}


def test_a_person_gives_the_first_usable_rating_and_the_first_opinion(tiny):
    found, dropped = build(INDIVIDUAL, tiny)
    assert {name: answers(messages) for name, messages in found.items()} == {
        "w1/0": [
            (*RAIN, '{"agreement": "Somewhat Disagree", "opinion": "It is wet."}'),
            (*TEA, '{"agreement": "Agree", "opinion": "Yes, “tea” for all."}'),
        ],
        "w2/0": [(*TEA, '{"agreement": "Strongly Agree", "opinion": "Tea!"}')],
    }
    assert dropped == WITHOUT_OPINION


def test_ratings_alone_need_no_opinion_and_no_file_of_opinions(tiny):
    (tiny / OPINIONS_FILE).unlink()
    found, dropped = build(INDIVIDUAL_CATEGORICAL, tiny)
    assert {name: answers(messages) for name, messages in found.items()} == {
        "w1/0": [(*RAIN, "Somewhat Disagree"), (*TEA, "Agree")],
        "w2/0": [(*TEA, "Strongly Agree")],
        "w3/0": [(*TEA, "Neutral")],
    }
    assert dropped == LEFT_OUT
    found, dropped = build(CATEGORICAL, tiny)
    assert {name: outputs(messages) for name, messages in found.items()} == {
        "1/0": ["Agree", "Neutral", "Strongly Agree"],
        "2/0": ["Somewhat Disagree"],
    }
    assert dropped == LEFT_OUT
    assert INDIVIDUAL.missing(tiny) == OPINIONS.missing(tiny) == [OPINIONS_FILE]
    assert not QUESTION.missing(tiny)


def test_opinions_on_one_question(tiny):
    found, dropped = build(OPINIONS, tiny)
    assert {name: outputs(messages) for name, messages in found.items()} == {
        "1/0": ["Tea!", "Yes, “tea” for all."],
        "2/0": ["It is wet."],
    }
    assert dropped == WITHOUT_OPINION


def test_descriptions_name_what_a_group_shares(tiny):
    for task, n_variants in ((INDIVIDUAL, 2), (INDIVIDUAL_CATEGORICAL, 1), (OPINIONS, 2), (CATEGORICAL, 2)):
        said = [build(task, tiny, seed=seed)[0] for seed in range(20)]
        first = {next(iter(found.values()))[0]["content"] for found in said}
        assert len(first) == n_variants
        assert all(TEA[0] in text for text in first) or task in (INDIVIDUAL, INDIVIDUAL_CATEGORICAL)
        assert all(SCALE in text for text in first) or task in (INDIVIDUAL, OPINIONS)
        assert all(TEA[1] in text for text in first) or task is not CATEGORICAL
    assert len({build(QUESTION, tiny, seed=seed)[0]["0"][0]["content"] for seed in range(40)}) == 5


def test_many_ratings_are_cut_into_several_sequences(tmp_path):
    path = tmp_path / RATINGS_FILE
    path.parent.mkdir()
    pd.DataFrame([rating(f"w{n}", 1, ["AGREE"]) for n in range(640)]).to_parquet(path)
    found, _ = build(CATEGORICAL, tmp_path)
    assert 12 < len(found) < 30 and sum(len(messages) - 1 for messages in found.values()) == 640
    assert found == build(CATEGORICAL, tmp_path)[0] != build(CATEGORICAL, tmp_path, seed=1)[0]


def test_a_renamed_column_is_named(tiny):
    frame = pd.read_parquet(tiny / RATINGS_FILE).rename(columns={"worker_id": "workerid"})
    frame.to_parquet(tiny / RATINGS_FILE)
    with pytest.raises(UserError, match=naming("_ratings.parquet", "'worker_id'", "'workerid'")):
        build(QUESTION, tiny)
    (tiny / OPINIONS_FILE).write_text("<html>")
    with pytest.raises(UserError, match=r"responses\.parquet.*parquet.*6 bytes"):
        build(OPINIONS, tiny)


def test_paper_sampling_takes_so_many_people_at_random_and_one_sequence_of_each(tmp_path):
    fixture.write(tmp_path)
    ratings = pd.read_parquet(tmp_path / RATINGS_FILE)
    for task in (INDIVIDUAL, INDIVIDUAL_CATEGORICAL):
        assert task.paper.most == 2000
        few = replace(task.paper, most=2)
        chosen = set()
        for seed in range(12):
            found = dict(few(Data(tmp_path, seed, Counter())))
            assert len(found) == 2 and all(name.endswith("/0") for name in found)
            chosen |= {name.split("/")[0] for name in found}
        assert len(chosen) > 2 and chosen <= set(ratings["worker_id"].dropna())
    assert QUESTION.paper is None
