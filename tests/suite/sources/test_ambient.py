import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.ambient import TASKS
from tests.messages import naming

BY_NAME = {task.name.removeprefix("ambient_"): task for task in TASKS}
FILES = {
    "full": "ambient/AmbiEnt/ambient_full.jsonl",
    "linguists": "ambient/AmbiEnt/linguist_annotations.jsonl",
    "crowd": "ambient/AmbiEnt/analysis/crowdworker_annotations.jsonl",
}


def raw(data, name):
    return [json.loads(line) for line in (data / FILES[name]).read_text("utf-8").split("\n") if line]


def write(folder, name, *rows):
    path = folder / FILES[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def outputs(sequences):
    return Counter(turn["content"] for s in sequences for turn in s.messages if turn["role"] == "output")


def answers(sequence):
    turns = sequence.messages[1:]
    return [(json.loads(turns[i]["content"]), turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


def contents(sequences):
    """Return the inputs and outputs of tasks with inputs, and how often each occurs."""
    return Counter((*shown.values(), output) for s in sequences for shown, output in answers(s))


def pair(row):
    return row["premise"].strip(), row["hypothesis"].strip()


def test_every_real_pair_is_an_output_once(suite_data, built):
    sequences, dropped = built(BY_NAME["premise_hypothesis"])
    got = Counter(tuple(json.loads(text).values()) for text in outputs(sequences).elements())
    assert got == Counter({pair(row): 1 for row in raw(suite_data, "full")})
    assert got.total() == 1645 and not dropped
    assert 20 <= len(sequences) <= 32


def test_the_same_pairs_are_mixed_differently_in_two_tasks(built):
    first = built(BY_NAME["premise_hypothesis"])[0][0].messages[1]["content"]
    second = built(BY_NAME["ambiguity_detection"])[0][0].messages[1]["content"]
    assert first != second


def test_every_real_pair_is_judged_once(suite_data, built):
    sequences, dropped = built(BY_NAME["ambiguity_detection"])
    found = Counter(output for *_, output in contents(sequences).elements())
    assert found == {
        '{"premise_ambiguous": false, "hypothesis_ambiguous": false}': 1066,
        '{"premise_ambiguous": true, "hypothesis_ambiguous": false}': 390,
        '{"premise_ambiguous": false, "hypothesis_ambiguous": true}': 149,
        '{"premise_ambiguous": true, "hypothesis_ambiguous": true}': 40,
    }
    assert not dropped and 20 <= len(sequences) <= 32


def test_every_real_disambiguation_is_an_output_once(suite_data, built):
    sequences, dropped = built(BY_NAME["disambiguation"])
    expected = Counter(
        (
            *pair(row),
            each["label"],
            json.dumps(
                {
                    "disambiguated_premise": each["premise"].strip(),
                    "disambiguated_hypothesis": each["hypothesis"].strip(),
                },
                ensure_ascii=False,
            ),
        )
        for row in raw(suite_data, "full")
        for each in row["disambiguations"]
    )
    got = contents(sequences)
    assert got == expected and got.total() == 1207
    assert Counter(label for _, _, label, _ in got.elements()) == {
        "neutral": 529,
        "entailment": 420,
        "contradiction": 258,
    }
    assert not dropped and 14 <= len(sequences) <= 24


def test_every_label_of_a_linguist_is_an_output_once(suite_data, built):
    sequences, dropped = built(BY_NAME["linguist_annotations"])
    expected = Counter(
        (linguist, *pair(row), label)
        for row in raw(suite_data, "linguists")
        for linguist, label in zip(row["worker_ids"], row["annotations"], strict=True)
    )
    got = Counter(
        (s.sequence_id.split("/")[0], *shown.values(), label)
        for s in sequences
        for shown, label in answers(s)
    )
    assert got == expected and got.total() == 4090 and not dropped
    people = Counter(s.sequence_id.split("/")[0] for s in sequences)
    assert len(people) == 28 and people["GFH"] > 15


def test_readings_without_a_label_are_left_out(suite_data, built):
    sequences, dropped = built(BY_NAME["interpretation_labels"])
    expected = Counter(
        (*pair(row), row["ambiguous_sent"], reading.strip(), label)
        for row in raw(suite_data, "crowd")
        for place, (reading, label) in enumerate(zip(row["interpretations"], row["labels"], strict=True))
        if place != row["distractor_idx"]
    )
    got = contents(sequences)
    assert got == expected and got.total() == 1091
    assert dropped == {"a distractor, without a label": 535}
    assert 12 <= len(sequences) <= 24


def test_shares_are_those_of_the_nine_answers(suite_data, built):
    sequences, dropped = built(BY_NAME["annotation_distributions"])
    rows = raw(suite_data, "crowd")
    got = contents(sequences)
    assert got.total() == 542 and not dropped and 6 <= len(sequences) <= 12
    total = Counter()
    for *_, output in got.elements():
        spread = json.loads(output)
        for label in ("entailment", "neutral", "contradiction"):
            count, of = map(int, spread[f"{label}_fraction"].split("/"))
            assert of == 9 and abs(spread[f"{label}_percentage"] - 100 * count / 9) < 1e-3
            total[label] += count
    assert total == Counter(x for r in rows for x in r["q0_gold"])


def test_a_sequence_never_repeats_a_row(built):
    for name in ("premise_hypothesis", "disambiguation"):
        for sequence in built(BY_NAME[name])[0]:
            shown = [turn["content"] for turn in sequence.messages if turn["role"] == "output"]
            assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_seed_alone_decides(built, name):
    assert built(BY_NAME[name]) == built(BY_NAME[name])
    assert built(BY_NAME[name])[0] != built(BY_NAME[name], seed=1)[0]


def build(name, folder):
    dropped = Counter()
    return list(BY_NAME[name].sequences(folder, seed=0, dropped=dropped)), dropped


def full_row(**changed):
    return {
        "id": "0_c",
        "premise": "It may end.",
        "hypothesis": "It ends.",
        "premise_ambiguous": True,
        "hypothesis_ambiguous": False,
        "labels": "neutral, entailment",
        "meta": {"source": None},
        "disambiguations": [],
    } | changed


def test_missing_parts_of_pairs_are_counted(tmp_path):
    reading = {"premise": "It may stop.", "hypothesis": "It ends.", "label": "neutral"}
    write(
        tmp_path,
        "full",
        full_row(disambiguations=[reading, reading | {"premise": None}, reading | {"label": ""}]),
        full_row(hypothesis=None, premise_ambiguous=None),
        full_row(premise="Früh\u2028er", hypothesis_ambiguous=None, disambiguations=None),
    )
    found, dropped = build("premise_hypothesis", tmp_path)
    assert outputs(found) == {
        '{"premise": "It may end.", "hypothesis": "It ends."}': 1,
        '{"premise": "Früh\u2028er", "hypothesis": "It ends."}': 1,
    }
    assert dropped == {"empty output": 1}
    found, dropped = build("ambiguity_detection", tmp_path)
    assert outputs(found) == {'{"premise_ambiguous": true, "hypothesis_ambiguous": false}': 1}
    assert dropped == {"empty output": 2}
    found, dropped = build("disambiguation", tmp_path)
    assert contents(found) == {
        (
            "It may end.",
            "It ends.",
            "neutral",
            '{"disambiguated_premise": "It may stop.", "disambiguated_hypothesis": "It ends."}',
        ): 1
    }
    assert dropped == {"empty output": 1, "empty input": 1}
    del reading["label"]
    write(tmp_path, "full", full_row(disambiguations=[reading]))
    with pytest.raises(UserError, match=naming("disambiguation", "column", "'label'", "premise")):
        build("disambiguation", tmp_path)


def test_a_linguist_listed_twice_gives_two_labels(tmp_path):
    row = {
        "id": 4,
        "worker_ids": ["ABC", "DEF", "DEF"],
        "premise": "p",
        "hypothesis": "h",
        "annotations": ["entailment|neutral", "neutral", None],
        "disambiguations": {},
    }
    write(tmp_path, "linguists", row, row | {"annotations": ["neutral", "neutral", "contradiction"]})
    found, dropped = build("linguist_annotations", tmp_path)
    assert {s.sequence_id: Counter(label for _, label in answers(s)) for s in found} == {
        "ABC/0": {"entailment|neutral": 1, "neutral": 1},
        "DEF/0": {"neutral": 2, "contradiction": 1},
    }
    assert dropped == {"empty output": 1}
    write(tmp_path, "linguists", row | {"annotations": ["neutral"]})
    with pytest.raises(UserError, match=naming("linguist_annotations.jsonl", "worker_ids", "'p'")):
        build("linguist_annotations", tmp_path)


def test_crowd_workers_who_did_not_answer_are_not_counted(tmp_path):
    row = {
        "id": 1,
        "premise": "p",
        "hypothesis": "h",
        "ambiguous_sent": "premise",
        "distractor_idx": 1.0,
        "labels": ["entailment", None, "neutral"],
        "interpretations": ["p, so h", "q", ""],
        "q0_gold": ["entailment", "neutral", None, "neutral"],
        "q1_gold": ["contradiction"],
    }
    write(tmp_path, "crowd", row, row | {"premise": "r", "q0_gold": [None]})
    found, dropped = build("annotation_distributions", tmp_path)
    share = (
        '{"entailment_fraction": "1/3", "entailment_percentage": 33.3333, '
        '"neutral_fraction": "2/3", "neutral_percentage": 66.6667, '
        '"contradiction_fraction": "0/3", "contradiction_percentage": 0.0}'
    )
    assert contents(found) == {("p", "h", "premise", share): 1}
    assert dropped == {"empty output": 1}
    found, dropped = build("interpretation_labels", tmp_path)
    assert contents(found) == {
        ("p", "h", "premise", "p, so h", "entailment"): 1,
        ("r", "h", "premise", "p, so h", "entailment"): 1,
    }
    assert dropped == {"a distractor, without a label": 2, "empty input": 2}
    write(tmp_path, "crowd", {"premise": "p"})
    with pytest.raises(UserError, match=naming("_annotations.jsonl", "line 1", "column", "'hypothesis'")):
        build("interpretation_labels", tmp_path)


def test_paper_sampling_draws_fifty_sequences_and_two_of_each_linguist(suite_data):
    for name, task in BY_NAME.items():
        found = list(task.sequences(suite_data, seed=0, paper=True))
        assert len(found) == (2 * 28 if name == "linguist_annotations" else 50)
        if name != "linguist_annotations":
            assert 50 < sum(each.n_outputs for each in found) / 50 < 80
