import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.collective_alignment import ASSESSMENTS, COMPARISONS, TASKS
from tests.suite.fixtures.collective_alignment import assessment, write

(TASK,) = TASKS
CONVERSATIONS = {
    "p1": "Is tea\u2028“good”?",
    "p2": "system: Be brief.\nuser: Hi.\nassistant: Yes?\nuser: So?",
    "p3": "One.\nTwo.",
}


def build(folder, *, seed=0):
    dropped = Counter()
    found = list(TASK.sequences(folder, seed=seed, dropped=dropped))
    return {sequence.sequence_id: sequence.messages for sequence in found}, +dropped


def answers(messages):
    said = [turn["content"] for turn in messages[1:]]
    return Counter(zip(said[::2], said[1::2], strict=True))


def shown(prompt):
    responses = {f"response_{x.lower()}": f"{x} of {prompt} {{x}}" for x in "ABCD"}
    return json.dumps({"conversation": CONVERSATIONS[prompt], **responses}, ensure_ascii=False)


def test_one_sequence_per_person_with_all_their_assessments(tmp_path):
    write(tmp_path)
    found, dropped = build(tmp_path)
    everything = {
        "personal_ranking": "A>B=C>D",
        "world_ranking": "B>A>C>D",
        "personal_rationale": "b: “A”.",
        "world_rationale": "Fairer.",
        "unacceptable_responses": "D: unacceptable|C: unacceptable",
        "unacceptable_rationale": "Rude.",
        "importance": "Very important",
        "representativeness": "Somewhat",
        "subjectivity": "Value-dependent",
    }
    little = {key: everything[key] for key in ("importance", "representativeness")}
    little = {"world_ranking": "A>B>C>D"} | little
    said = {"b": everything, "a": little}
    assert {name: answers(messages) for name, messages in found.items()} == {
        person: Counter(
            (shown(prompt), json.dumps(said[person], ensure_ascii=False)) for prompt in CONVERSATIONS
        )
        for person in ("b", "a")
    }
    assert dropped == {
        "line that is no JSON object (merged_comparisons_annotators.jsonl: 13)": 1,
        "further comparison of the same prompt": 1,
        "of a prompt that is not among the comparisons": 1,
        "empty input": 1,
        "empty output": 1,
        "empty group": 1,
        "of a group with fewer than 3 samples": 2,
    }
    assert found == build(tmp_path)[0] != build(tmp_path, seed=1)[0]


def test_the_description_tells_what_is_known_of_the_person(tmp_path):
    write(tmp_path)
    said = {"a": set(), "b": set()}
    for seed in range(20):
        for name, messages in build(tmp_path, seed=seed)[0].items():
            said[name].add(messages[0]["content"])
    assert len(said["a"]) == len(said["b"]) == 2
    assert all(
        each.endswith(' What is known of the person: {"age": "25-34", "country": "Perú"}')
        for each in said["b"]
    )
    assert not any("known of" in each or "{" in each for each in said["a"])


def test_a_single_rating_may_be_a_text_and_extra_blocks_do_no_harm(tmp_path):
    write(tmp_path)
    blocks = {"unacceptable": [{"rating": "D", "rationale": ""}], "personal": "?", "other": 1}
    rows = [assessment("z", prompt, ranking_blocks=blocks) for prompt in CONVERSATIONS]
    (tmp_path / ASSESSMENTS).write_text("\n".join(map(json.dumps, rows)), "utf-8")
    ((messages,), _) = (
        list(found.values()) if isinstance(found, dict) else found for found in build(tmp_path)
    )
    assert {json.loads(said)["unacceptable_responses"] for _, said in answers(messages)} == {"D"}
    assert not any("rationale" in said or "ranking" in said for _, said in answers(messages))


def test_a_missing_key_is_named_with_its_line(tmp_path):
    write(tmp_path)
    row = assessment("a", "p1")
    row["ranking_block"] = row.pop("ranking_blocks")
    (tmp_path / ASSESSMENTS).write_text(json.dumps(row), "utf-8")
    message = "line 1 has no column 'ranking_blocks'. Did you mean 'ranking_block'"
    with pytest.raises(UserError, match=message):
        build(tmp_path)
    (tmp_path / COMPARISONS).unlink()
    assert TASK.missing(tmp_path) == [COMPARISONS]
