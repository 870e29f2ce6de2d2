import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.lewidi import TASKS

NLI = {task.name: task for task in TASKS}["lewidi_varierrnli_nli_detection_individual_categorical"]
TRAITS = {
    "Ann1": "Female, age: 22, nationality: Chinese",
    "Ann2": "Male, age: 33, nationality: German",
    "Ann3": "Female, age: 25, nationality: Chinese",
    "Ann4": "Male, age: 25, nationality: Chinese",
}


def answers(sequence):
    turns = sequence.messages[1:]
    return [(json.loads(turns[i]["content"]), turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


@pytest.fixture(scope="module")
def nli(built):
    return built(NLI)


@pytest.fixture
def tiny(tmp_path):
    folder = tmp_path / "lewidi" / "VariErrNLI"
    folder.mkdir(parents=True)
    items = {
        "1": {
            "text": {"context": "c", "statement": "s"},
            "annotations": {"A": "neutral,entailment", "B": "neutral"},
        },
        "2": {"text": {"context": "c", "statement": " "}, "annotations": {"A": "neutral"}},
        "3": {"text": {"context": "c", "statement": "t"}, "annotations": {"A": ""}},
    }
    (folder / "VariErrNLI_train.json").write_text(json.dumps(items))
    (folder / "VariErrNLI_dev.json").write_text(json.dumps({"1": items["1"]}))
    (folder / "VariErrNLI_annotators_meta.json").write_text('{\n\t"A":{\n\t\t"Age":"22",\n\t},\n}')
    return tmp_path


def test_every_label_of_train_and_dev_is_an_output(suite_data, nli):
    sequences, dropped = nli
    expected = Counter()
    for part in ("train", "dev"):
        for item in json.loads(
            (suite_data / f"lewidi/VariErrNLI/VariErrNLI_{part}.json").read_text()
        ).values():
            for person, labels in item["annotations"].items():
                expected[person, *item["text"].values(), labels.replace(",", ", ")] += 1
    got = Counter(
        (sequence.sequence_id.split("/")[0], shown["context"], shown["statement"], label)
        for sequence in sequences
        for shown, label in answers(sequence)
    )
    # The texts of the data set are compared without white space around them.
    assert got == Counter({tuple(part.strip() for part in key): count for key, count in expected.items()})
    assert dropped.total() == 0
    assert len({sequence.sequence_id for sequence in sequences}) == len(sequences)


def test_labels_are_the_three_relations_or_several_in_alphabetical_order(nli):
    labels = Counter(label for sequence in nli[0] for _, label in answers(sequence))
    for label in labels:
        parts = label.split(", ")
        assert parts == sorted(set(parts)) and set(parts) <= {"entailment", "neutral", "contradiction"}
    assert labels["entailment, neutral"] > 0


def test_descriptions_name_the_traits_of_the_annotator(nli):
    for sequence in nli[0]:
        assert TRAITS[sequence.sequence_id.split("/")[0]] in sequence.messages[0]["content"]


def test_an_annotator_is_cut_into_sequences_that_fit(nli):
    lengths = [sequence.n_outputs for sequence in nli[0]]
    assert 9 < sum(lengths) / len(lengths) < 15
    assert max(lengths) < 100


def test_the_seed_alone_decides(built, nli):
    assert nli == built(NLI)
    assert nli[0] != built(NLI, seed=1)[0]


def test_empty_parts_are_counted_and_unknown_people_have_no_traits(tiny):
    dropped = Counter()
    sequences = list(NLI.sequences(tiny, seed=0, dropped=dropped))
    people = {sequence.sequence_id.split("/")[0]: sequence.messages[0]["content"] for sequence in sequences}
    assert "(age: 22)" in people["A"] and "age" not in people["B"]
    outputs = Counter(label for sequence in sequences for _, label in answers(sequence))
    assert outputs == {"entailment, neutral": 2, "neutral": 2}
    assert dropped == {"empty input": 1, "empty output": 1}


def test_broken_files_are_named(tiny):
    path = tiny / "lewidi/VariErrNLI/VariErrNLI_dev.json"
    path.write_text('{"1": {"text": {}, "annotation": {}}}')
    with pytest.raises(
        UserError, match="VariErrNLI_dev.json, item 1 has no column 'annotations'. Did you mean"
    ):
        list(NLI.sequences(tiny, seed=0))
    path.write_text('{"1": {"text"')
    with pytest.raises(UserError, match="VariErrNLI_dev.json is not valid JSON"):
        list(NLI.sequences(tiny, seed=0))
    path.unlink()
    assert NLI.missing(tiny) == ["lewidi/VariErrNLI/VariErrNLI_dev.json"]
