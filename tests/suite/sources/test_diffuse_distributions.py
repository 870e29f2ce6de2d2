import json
from collections import Counter, defaultdict

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.diffuse_distributions import FOLDER, TASKS
from tests.messages import naming

(DIFFUSE,) = TASKS


def outputs(sequence):
    return [turn["content"] for turn in sequence.messages[1:]]


@pytest.fixture(scope="module")
def lists(built):
    return built(DIFFUSE)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        return tmp_path

    return write


def test_every_list_comes_in_ten_orders_without_repetition(suite_data, lists):
    sequences, dropped = lists
    expected, empty = {}, 0
    for path in (suite_data / FOLDER).rglob("*.json"):
        targets = json.loads(path.read_text("utf-8"))["targets"]
        empty += not targets
        if targets:
            expected[f"{path.parent.name}/{path.stem}"] = sorted(
                target.replace("}\n{", "; ").strip("{}") for target in targets
            )
    orders = defaultdict(list)
    for sequence in sequences:
        orders[sequence.sequence_id.rpartition("/")[0]].append(outputs(sequence))
    assert {name: sorted(found[0]) for name, found in orders.items()} == expected
    assert all(len(found) == 10 and len({*map(tuple, found)}) > 8 for found in orders.values())
    assert all(sorted(order) == sorted(found[0]) for found in orders.values() for order in found)
    assert +dropped == {"list without answers": empty}
    assert len(sequences) == 10 * len(expected)
    assert sum(s.n_outputs for s in sequences) == 10 * sum(map(len, expected.values()))


def test_descriptions_hold_the_request_without_the_format(lists):
    said = {s.sequence_id.rpartition("/")[0]: s.messages[0]["content"] for s in lists[0]}
    assert 'an occupation that starts with the letter "M", chosen' in said["occupations/occupations-2"]
    assert "fictional, notable person" in said["ficticious-people/ficticious-people-train"]
    assert not any(word in text for text in said.values() for word in ("{", "brace", "code", "..", "\n"))
    assert len({s.messages[0]["content"] for s in lists[0]}) > 2 * len(said)


def test_the_seed_alone_decides(built, lists):
    assert lists == built(DIFFUSE)
    assert lists[0] != built(DIFFUSE, seed=1)[0]


def test_braces_line_breaks_and_invisible_characters_go(write):
    request = "Name a number from 1.5 to 2. Output only {the number}."
    write(
        "n/a.json", {"request": request, "response": [""], "targets": ["{1.5}", "{\u200b2}", " {2} ", "{}"]}
    )
    folder = write("p/q.json", {"request": "A person", "targets": ["{Ann}\r\n{ F }\n\n{Rome, Italy}"]})
    write("p/none.json", {"request": "A person", "targets": []})
    dropped = Counter()
    found = list(DIFFUSE.sequences(folder, seed=0, dropped=dropped))
    assert [s.sequence_id for s in found] == [f"{name}/{i}" for name in ("n/a", "p/q") for i in range(10)]
    assert sorted(outputs(found[0])) == ["1.5", "2"]
    assert "Name a number from 1.5 to 2" in found[0].messages[0]["content"]
    assert outputs(found[10]) == ["Ann; F; Rome, Italy"]
    assert dropped == {"list without answers": 1, "answer repeated in its list": 1, "empty output": 1}


def test_another_structure_is_refused(write):
    for content in (
        [],
        {"targets": ["{a}"]},
        {"request": " ", "targets": []},
        {"request": "a", "targets": "b"},
    ):
        folder = write("n/a.json", content)
        with pytest.raises(UserError, match=naming("a.json", "request", "targets")):
            list(DIFFUSE.sequences(folder, seed=0))
    assert DIFFUSE.missing(folder / "nowhere") == list(DIFFUSE.files)
