import csv
import json
from collections import Counter

import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.sources.community_alignment import NAMES, PATTERN, TASKS
from tests.messages import naming
from tests.suite.fixtures.community_alignment import FILE, row, rows, write

PROMPTS, REPLIES, PREFERENCES, RESPONSES = TASKS
CUT = {
    "row with another number of fields than the header (community_alignment.csv: 37)": 1,
    "without a first prompt or a preferred response": 2,
}
KNOWN = ' What is known of the person: {"age": "18-34", "gender": "female", '
KNOWN += '"education_level": "Some post-secondary", "country": "côte"}'


def build(task, folder, *, seed=0, paper=False):
    dropped = Counter()
    found = list(task.sequences(folder, seed=seed, dropped=dropped, paper=paper))
    return {sequence.sequence_id: sequence.messages for sequence in found}, +dropped


def by_group(found):
    """Return outputs, or pairs of input and output, of each group."""
    got = {}
    for name, messages in found.items():
        said = [turn["content"] for turn in messages[1:]]
        if messages[1]["role"] == "input":
            said = list(zip(said[::2], said[1::2], strict=True))
        got.setdefault(name.split("/")[0], Counter()).update(said)
    return got


def asked(person, number):
    return f"{person} asks {number},\n\u2028“why”?"


def test_different_prompts_of_each_language(tmp_path):
    write(tmp_path)
    found, dropped = build(PROMPTS, tmp_path)
    assert by_group(found) == {
        "English": Counter([*(asked("p1", n) for n in range(5)), asked("p1", 8)]),
        "French": Counter(
            [*(asked("p2", n) for n in (0, 1, 2, 3, 4, 9)), *(asked("p3", n) for n in range(3))]
        ),
    }
    assert dropped == CUT | {"prompt seen before": 1}
    said = {build(PROMPTS, tmp_path, seed=s)[0]["French/0"][0]["content"] for s in range(20)}
    assert len(said) == 3 and all("French" in each for each in said)


def test_replies_of_one_person(tmp_path):
    write(tmp_path)
    found, dropped = build(REPLIES, tmp_path)

    def reply(person, number):
        shown = {"prompt": asked(person, number), "model_response": f"{'abcd'[number % 4]}{number} {{n}}"}
        return json.dumps(shown, ensure_ascii=False), f"{person} replies {number}"

    assert by_group(found) == {
        person: Counter(reply(person, number) for number in range(5)) for person in ("p1", "p2")
    }
    assert dropped == CUT | {
        "empty input": 1,
        "empty output": 1,
        "empty group": 1,
        "of a group with fewer than 4 samples": 3,
    }


def test_choices_of_one_person_with_the_reasons_there_are(tmp_path):
    write(tmp_path)
    found, dropped = build(PREFERENCES, tmp_path)

    def choice(person, number):
        shown = {"prompt": asked(person, number), **{f"response_{x}": f"{x}{number} {{n}}" for x in "abcd"}}
        said = {"preferred_response": f"response_{'abcd'[number % 4]}"}
        if number % 2 == 0:
            said["justification"] = f"“Good”, {number}."
        return json.dumps(shown, ensure_ascii=False), json.dumps(said, ensure_ascii=False)

    assert by_group(found) == {
        person: Counter(choice(person, number) for number in range(5)) for person in ("p1", "p2")
    }
    assert dropped == CUT | {
        "empty output": 1,
        "empty input": 1,
        "empty group": 1,
        "of a group with fewer than 4 samples": 3,
    }


def test_descriptions_tell_what_is_known_of_the_person(tmp_path):
    write(tmp_path)
    for task, with_known in ((REPLIES, 2), (PREFERENCES, 1)):
        said = {}
        for seed in range(20):
            for name, messages in build(task, tmp_path, seed=seed)[0].items():
                said.setdefault(name.split("/")[0], set()).add(messages[0]["content"])
        assert {name: len(texts) for name, texts in said.items()} == {"p1": 2, "p2": 2}
        assert sum(each.endswith(KNOWN) for each in said["p1"]) == with_known
        assert not any("nan" in each or "known of" in each for each in said["p2"])


def test_four_answers_in_mixed_order(tmp_path):
    write(tmp_path)
    found, dropped = build(RESPONSES, tmp_path)
    got = by_group(found)
    pairs = [(prompt, json.loads(said)) for counts in got.values() for prompt, said in counts]
    assert {prompt: sorted(said) for prompt, said in pairs} == {
        asked(person, n): [f"{x}{n} {{n}}" for x in "abcd"]
        for person, numbers in (("p1", (0, 1, 2, 3, 4, 8)), ("p2", range(5)), ("p3", range(3)))
        for n in numbers
    }
    assert any(said != sorted(said) for _, said in pairs)
    assert sorted(len(messages) // 2 for messages in found.values()) == [1, 3, 5, 5]
    assert dropped == CUT | {"prompt seen before": 1, "without four responses": 1}
    assert found == build(RESPONSES, tmp_path)[0] != build(RESPONSES, tmp_path, seed=1)[0]


def test_the_paper_reads_the_first_10000_rows(tmp_path):
    path = tmp_path / FILE
    path.parent.mkdir()
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(row("p", 0)))
        writer.writeheader()
        writer.writerows(row(f"p{n // 5}", n) for n in range(10_010))
    assert sum(counts.total() for counts in by_group(build(PROMPTS, tmp_path)[0]).values()) == 10_010
    assert (
        sum(counts.total() for counts in by_group(build(PROMPTS, tmp_path, paper=True)[0]).values()) == 10_000
    )


def test_the_filtered_file_is_read_where_it_is_there(tmp_path):
    write(tmp_path)
    filtered = tmp_path / "community_alignment" / NAMES[0]
    filtered.parent.mkdir()
    with filtered.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows()[0]))
        writer.writeheader()
        writer.writerows(row("p1", number) for number in range(4))
    assert by_group(build(PROMPTS, tmp_path)[0]) == {"English": Counter(asked("p1", n) for n in range(4))}


def test_a_missing_column_or_file_is_named(tmp_path):
    write(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(b"annotator_age", b"annotator_years"))
    with pytest.raises(UserError, match=naming(".csv", "column", "'annotator_age'")):
        build(REPLIES, tmp_path)
    assert build(PROMPTS, tmp_path)[0]
    path.unlink()
    assert PROMPTS.missing(tmp_path) == [PATTERN]
    with pytest.raises(MissingData, match=naming("community_alignment.csv", "exist")):
        build(PROMPTS, tmp_path)
