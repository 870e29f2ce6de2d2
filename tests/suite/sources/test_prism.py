import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.prism import CONVERSATIONS, SURVEY, TASKS
from spectrum_trl.suite.sources.prism import TYPES as INSTRUCTIONS
from tests.suite.fixtures.prism import CROWD, TYPES, conversation, write

PROMPTS, INDIVIDUAL, PREFERENCES = TASKS
LINE = {f"line that is no JSON object (conversations.jsonl: {13 + CROWD + 1})": 1}
OUTSIDE = LINE | {
    "of somebody who is not in the survey": CROWD + 2,
    "further survey of the same participant": 1,
}
TOLD = "Age: 25-34 years old; Gender: Female; Education: University Bachelors Degree; "
TOLD += "Employment: Working full-time; Country: Côte d'Ivoire; Religion: No Affiliation"


def build(task, folder, *, seed=0):
    dropped = Counter()
    found = list(task.sequences(folder, seed=seed, dropped=dropped))
    return {sequence.sequence_id: sequence.messages for sequence in found}, +dropped


def answers(messages):
    said = [turn["content"] for turn in messages[1:]]
    return Counter(zip(said[::2], said[1::2], strict=True))


def asked(person, number):
    return f"{person} asks {number}\u2028“why?”"


def test_every_opening_prompt_occurs_once_with_its_kind_of_conversation(tmp_path):
    write(tmp_path)
    found, dropped = build(PROMPTS, tmp_path)
    got = sum((answers(messages) for messages in found.values()), Counter())
    expected = [("user0", 3), ("user1", 5), ("nobody", 2)]
    prompts = [(person, number) for person, count in expected for number in range(count)] + [("user3", 1)]
    prompts += [(f"crowd{number}", number % 3) for number in range(CROWD)]
    assert got == Counter(
        (INSTRUCTIONS[TYPES[number % 3]], asked(person, number)) for person, number in prompts
    )
    assert dropped == LINE | {"unknown type of conversation 'pilot'": 1, "empty output": 1}
    assert len(found) >= 2
    assert found == build(PROMPTS, tmp_path)[0] != build(PROMPTS, tmp_path, seed=1)[0]


def test_prompts_of_one_person_stay_together(tmp_path):
    write(tmp_path)
    found, dropped = build(INDIVIDUAL, tmp_path)
    assert {name: sorted(prompt for _, prompt in answers(messages)) for name, messages in found.items()} == {
        "user0/0": [asked("user0", number) for number in range(3)],
        "user1/0": [asked("user1", number) for number in range(5)],
        "user3/0": [asked("user3", 1)],
    }
    assert dropped == OUTSIDE | {"unknown type of conversation 'pilot'": 1, "empty output": 1}


def test_the_description_tells_what_is_known_of_the_person(tmp_path):
    write(tmp_path)
    for task, without in ((INDIVIDUAL, 1), (PREFERENCES, 0)):
        said = {}
        for seed in range(20):
            for name, messages in build(task, tmp_path, seed=seed)[0].items():
                said.setdefault(name, set()).add(messages[0]["content"])
        assert all(len(each) == 2 for each in said.values())
        assert sum(f"person ({TOLD})" in each for each in said["user0/0"]) == 2 - without
        assert sum("person (Employment: Retired)" in each for each in said["user1/0"]) == 2 - without
        assert not any(
            bad in each for texts in said.values() for each in texts for bad in ("nan", "{", "None")
        )


def test_one_persons_choices_and_scores(tmp_path):
    write(tmp_path)
    found, dropped = build(PREFERENCES, tmp_path)
    assert {name.split("/")[0] for name in found} == {"user0", "user1"}
    got = {}
    for name, messages in found.items():
        got.setdefault(name.split("/")[0], Counter()).update(answers(messages))
    for person, counts in got.items():
        assert counts == Counter(
            (
                json.dumps(
                    {
                        "opening_prompt": asked(person, number),
                        **{f"response_{letter}": f"answer {n} {{x}}" for n, letter in enumerate("abcd")},
                    },
                    ensure_ascii=False,
                ),
                json.dumps(
                    {
                        "chosen_response": "abcd"[number],
                        **{f"score_{letter}": 10 * n + number for n, letter in enumerate("abcd")},
                    }
                ),
            )
            for number in range(3)
        )
    assert dropped == OUTSIDE | {
        "without four scored responses": 2,
        "not exactly one chosen response": 1,
        "empty input": 1,
        "of a group with fewer than 2 samples": 1,
    }


@pytest.mark.parametrize(
    ("score", "usable"), [(0, True), (7.0, True), (100, True), (101, False), (None, False), ("7", False)]
)
def test_scores_are_whole_numbers_up_to_100(tmp_path, score, usable):
    write(tmp_path)
    rows = [conversation("user0", number) for number in (0, 1)]
    rows[0]["conversation_history"][1]["score"] = score
    (tmp_path / CONVERSATIONS).write_text("\n".join(map(json.dumps, rows)), "utf-8")
    found, _ = build(PREFERENCES, tmp_path)
    scores = {json.loads(said)["score_c"] for messages in found.values() for _, said in answers(messages)}
    assert scores == ({21, int(score)} if usable else set())


def test_a_missing_key_is_named_with_its_line(tmp_path):
    write(tmp_path)
    row = conversation("user0", 0)
    row["openingprompt"] = row.pop("opening_prompt")
    (tmp_path / CONVERSATIONS).write_text(json.dumps(row), "utf-8")
    message = "line 1 has no column 'opening_prompt'. Did you mean 'openingprompt'"
    with pytest.raises(UserError, match=message):
        build(PROMPTS, tmp_path)
    (tmp_path / SURVEY).unlink()
    assert PREFERENCES.missing(tmp_path) == [SURVEY] and not PROMPTS.missing(tmp_path)
