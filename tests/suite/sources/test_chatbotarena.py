import json
from collections import Counter

import pandas as pd
import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.chatbotarena import FILE, TASKS
from tests.messages import naming
from tests.suite.fixtures.chatbotarena import row, write

PROMPTS, PREFERENCES, ASSISTANT = TASKS
FEW = {"of a judge with fewer than 4 conversations": 3}


def build(task, folder, *, seed=0, paper=False):
    dropped = Counter()
    found = list(task.sequences(folder, seed=seed, dropped=dropped, paper=paper))
    return {sequence.sequence_id: sequence.messages for sequence in found}, +dropped


def turns(messages):
    return [turn["content"] for turn in messages[1:]]


def answers(messages):
    said = turns(messages)
    return Counter(zip(said[::2], said[1::2], strict=True))


def asked(judge, number):
    return f"{judge} asks {number}\u2028“so?”"


def test_prompts_of_one_judge_stay_together(tmp_path):
    write(tmp_path)
    found, dropped = build(PROMPTS, tmp_path)
    assert {name: sorted(turns(messages)) for name, messages in found.items()} == {
        "arena_user_1/0": [asked("arena_user_1", n) for n in range(4)],
        "arena_user_2/0": ["Only a prompt {here}.", *(asked("arena_user_2", n) for n in range(4))],
    }
    assert dropped == FEW
    assert found == build(PROMPTS, tmp_path)[0] != build(PROMPTS, tmp_path, seed=1)[0]


def test_a_vote_is_a_b_tie_or_bothbad(tmp_path):
    write(tmp_path)
    found, dropped = build(PREFERENCES, tmp_path)
    got = {}
    for name, messages in found.items():
        got.setdefault(name.split("/")[0], Counter()).update(answers(messages))

    def vote(judge, number):
        shown = {
            "opening_prompt": asked(judge, number),
            "model_a_response": f"a{number}",
            "model_b_response": f"b{number}",
        }
        return json.dumps(shown, ensure_ascii=False), ("a", "b", "tie", "bothbad")[number % 4]

    assert got == {
        "arena_user_1": Counter(vote("arena_user_1", n) for n in range(4)),
        "arena_user_2": Counter(vote("arena_user_2", n) for n in range(3)),
    }
    assert dropped == FEW | {"empty output": 1, "empty input": 1}
    said = {build(PREFERENCES, tmp_path, seed=s)[0]["arena_user_1/0"][0]["content"] for s in range(20)}
    assert len(said) == 3
    assert all(re in each for each in said for re in (" a", " b", "tie", "bothbad"))


def test_answers_of_one_model_from_both_sides(tmp_path):
    write(tmp_path)
    found, dropped = build(ASSISTANT, tmp_path)
    got = {}
    for name, messages in found.items():
        got.setdefault(name.split("/")[0], Counter()).update(answers(messages))
    usable = [("arena_user_1", n) for n in range(4)] + [("arena_user_2", n) for n in range(4)]
    assert got == {
        "vicuna-13b": Counter((asked(judge, n), f"a{n}") for judge, n in usable)
        + Counter([(asked("arena_user_2", 3), "b3")]),
        "koala-13b": Counter((asked(judge, n), f"b{n}") for judge, n in usable[:-1]),
    }
    assert dropped == FEW | {"empty output": 1, "empty group": 1}
    said = {build(ASSISTANT, tmp_path, seed=s)[0]["koala-13b/0"][0]["content"] for s in range(20)}
    assert len(said) == 3
    assert sum("koala-13b" in each for each in said) == 1 and not any("vicuna" in each for each in said)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    (folder / FILE).parent.mkdir(parents=True)
    rows = [row(f"j{judge}", number) for judge in range(1010) for number in range(4)]
    rows += [row("busy", number) for number in range(230)]
    pd.DataFrame(rows).to_parquet(folder / FILE)
    return folder


def test_all_judges_and_prompts_are_used_but_the_paper_has_caps(many):
    found, dropped = build(PROMPTS, many)
    assert len(found) == 1010 + 3 and not dropped
    assert [len(found[f"busy/{n}"]) - 1 for n in range(3)] == [100, 100, 30]
    papers, dropped = build(PROMPTS, many, paper=True)
    judges = [name.split("/")[0] for name in papers]
    assert len(papers) == len(set(judges)) == 1000
    assert all(name.endswith("/0") and len(messages) - 1 <= 100 for name, messages in papers.items())
    assert dropped.keys() == {"of other than 1000 judges"}
    assert set(judges) != {name.split("/")[0] for name in build(PROMPTS, many, seed=1, paper=True)[0]}


def test_the_paper_takes_the_votes_of_the_first_1000_judges(many):
    papers, dropped = build(PREFERENCES, many, paper=True)
    assert {name.split("/")[0] for name in papers} == {f"j{judge}" for judge in range(1000)}
    assert dropped == {"of other than 1000 judges": 40 + 230}
    assert {name.split("/")[0] for name in build(PREFERENCES, many)[0]} == {
        "busy",
        *(f"j{judge}" for judge in range(1010)),
    }


def test_a_missing_column_is_named(tmp_path):
    write(tmp_path)
    pd.read_parquet(tmp_path / FILE).rename(columns={"winner": "winer"}).to_parquet(tmp_path / FILE)
    with pytest.raises(UserError, match=naming(".parquet", "'winner'", "'winer'")):
        build(PREFERENCES, tmp_path)
