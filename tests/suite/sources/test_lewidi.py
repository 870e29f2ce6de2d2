import json
from collections import Counter

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.lewidi import TASKS
from tests.messages import naming
from tests.suite.fixtures import lewidi as fixture

BY_NAME = {task.name: task for task in TASKS}
NLI = BY_NAME["lewidi_varierrnli_nli_detection_individual_categorical"]
NLI_EXPLAINED = BY_NAME["lewidi_varierrnli_nli_detection_individual"]
PARAPHRASE = BY_NAME["lewidi_par_paraphrase_detection_individual_categorical"]
PARAPHRASE_EXPLAINED = BY_NAME["lewidi_par_paraphrase_detection_individual"]
SARCASM = BY_NAME["lewidi_csc_sarcasm_detection_individual"]
IRONY = BY_NAME["lewidi_mp_irony_detection_individual"]
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


item = fixture.item


def write(folder, part, **items):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{folder.name}_{part}.json").write_text(json.dumps(items))


def raw(data, name, *parts):
    """Return the items of the real files."""
    return [
        item
        for part in parts
        for item in json.loads((data / f"lewidi/{name}/{name}_{part}.json").read_text()).values()
    ]


@pytest.fixture
def tiny(tmp_path):
    folder = tmp_path / "lewidi" / "VariErrNLI"
    several = item(
        {"Ann1": "neutral,entailment", "Ann2": "neutral"},
        listed="Ann1, Ann1,Ann2",
        explanations=["open ", " said", ""],
        context="c",
        statement="s",
    )
    blank = item({"Ann1": "neutral"}, context="c", statement=" ", explanations=["x"])
    unlabelled = item({"Ann1": ""}, context="c", statement="t", explanations=["x"])
    write(folder, "train", a=several, b=blank, c=unlabelled)
    write(folder, "dev", a=several)
    (folder / "VariErrNLI_annotators_meta.json").write_text('{\n\t"Ann1":{\n\t\t"Age":"22",\n\t},\n}')
    return tmp_path


def test_every_label_of_train_and_dev_is_an_output(suite_data, nli):
    sequences, dropped = nli
    expected = Counter()
    for part in ("train", "dev"):
        for item in json.loads(
            (suite_data / f"lewidi/VariErrNLI/VariErrNLI_{part}.json").read_text()
        ).values():
            for person, labels in item["annotations"].items():
                expected[person, *item["text"].values(), labels] += 1
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
        parts = label.split(",")
        assert parts == sorted(set(parts)) and set(parts) <= {"entailment", "neutral", "contradiction"}
    assert labels["entailment,neutral"] > 0


def test_descriptions_name_the_traits_of_the_annotator(nli):
    for sequence in nli[0]:
        assert TRAITS[sequence.sequence_id.split("/")[0]] in sequence.messages[0]["content"]


def test_an_annotator_is_cut_into_sequences_of_thirty(nli):
    lengths = Counter(sequence.n_outputs for sequence in nli[0])
    assert max(lengths) == 30 and lengths[30] == len(nli[0]) - 4


def test_the_seed_alone_decides(built, nli):
    assert nli == built(NLI)
    assert nli[0] != built(NLI, seed=1)[0]


def test_empty_parts_are_counted_and_unknown_people_have_no_traits(tiny):
    dropped = Counter()
    sequences = list(NLI.sequences(tiny, seed=0, dropped=dropped))
    people = {sequence.sequence_id.split("/")[0]: sequence.messages[0]["content"] for sequence in sequences}
    assert "(age: 22)" in people["Ann1"] and "age:" not in people["Ann2"]
    outputs = Counter(label for sequence in sequences for _, label in answers(sequence))
    assert outputs == {"entailment,neutral": 2, "neutral": 2}
    assert dropped == {"empty input": 1, "empty output": 1}


def test_explanations_of_several_labels_are_one_sample(tiny):
    dropped = Counter()
    sequences = list(NLI_EXPLAINED.sequences(tiny, seed=0, dropped=dropped))
    assert {s.sequence_id: [json.loads(label) for _, label in answers(s)] for s in sequences} == {
        "Ann1/0": [{"nli_label": "entailment,neutral", "explanation": "open / said"}] * 2,
        "Ann2/0": [{"nli_label": "neutral"}] * 2,
    }
    assert dropped == {"empty input": 1, "empty output": 1}


def test_real_explanations_belong_to_their_annotator(suite_data, built):
    expected = Counter()
    for each in raw(suite_data, "VariErrNLI", "train", "dev"):
        reasons = {}
        for person, reason in zip(
            each["annotators"].split(","), each["other_info"]["explanations"], strict=True
        ):
            reasons.setdefault(person, []).append(reason.strip())
        for person, given in reasons.items():
            expected[person, each["text"]["statement"].strip(), " / ".join(given)] += 1
    sequences, dropped = built(NLI_EXPLAINED)
    got = Counter(
        (s.sequence_id.split("/")[0], shown["statement"], json.loads(label)["explanation"])
        for s in sequences
        for shown, label in answers(s)
    )
    assert got == expected
    assert got.total() == 1624 and len(sequences) == 57 and dropped.total() == 0
    assert max(s.n_outputs for s in sequences) == 30


@pytest.mark.parametrize("task", [PARAPHRASE, PARAPHRASE_EXPLAINED])
def test_every_real_rating_of_a_pair_of_questions_is_an_output(suite_data, built, task):
    expected = Counter()
    for each in raw(suite_data, "Paraphrase", "train", "dev"):
        for place, (person, rating) in enumerate(each["annotations"].items()):
            reason = each["other_info"]["explanations"][place].strip()
            output = {"paraphrase_rating": int(rating), "explanation": reason}
            shown = (*(text.strip() for text in each["text"].values()), "en")
            explained = json.dumps(output, ensure_ascii=False)
            expected[person, shown, rating if task is PARAPHRASE else explained] += 1
    sequences, dropped = built(task)
    got = Counter(
        (s.sequence_id.split("/")[0], tuple(shown.values()), output)
        for s in sequences
        for shown, output in answers(s)
    )
    assert got == expected
    # Of each of four people 450 ratings: 22 sequences of 20 and one of 10.
    assert got.total() == 1800 and len(sequences) == 92 and dropped.total() == 0
    assert Counter(s.n_outputs for s in sequences) == {20: 88, 10: 4}
    assert all("nationality: " in s.messages[0]["content"] for s in sequences)


def test_ratings_off_the_scale_are_counted(tmp_path):
    folder = tmp_path / "lewidi" / "Paraphrase"
    first = item({"Ann1": "-5", "Ann2": "6"}, explanations=[" far apart", "?"], Question1="p", Question2="q")
    second = item({"Ann1": "", "Ann2": "0"}, explanations=["?"], Question1="p", Question2="r")
    write(folder, "train", a=first, b=second)
    write(folder, "dev", c=item({"Ann1": "5"}, explanations=["s"], Question1="", Question2="q"))
    (folder / "Paraphrase_annotators_meta.json").write_text('{"Ann1":{"Age":"26","Education":"",},}')
    dropped = Counter()
    found = {
        s.sequence_id: (s.messages[0]["content"], answers(s))
        for s in PARAPHRASE_EXPLAINED.sequences(tmp_path, seed=0, dropped=dropped)
    }
    assert {name: pairs for name, (_, pairs) in found.items()} == {
        "Ann1/0": [
            (
                {"question1": "p", "question2": "q", "lang": "en"},
                '{"paraphrase_rating": -5, "explanation": "far apart"}',
            )
        ],
        "Ann2/0": [({"question1": "p", "question2": "r", "lang": "en"}, '{"paraphrase_rating": 0}')],
    }
    assert "(age: 26)" in found["Ann1/0"][0]
    assert dropped == {"not on the scale": 2, "empty input": 1}


def test_every_real_judgement_of_sarcasm_is_an_output(suite_data, built):
    sequences, dropped = built(SARCASM)
    expected = Counter(
        (person, each["text"]["context"].strip(), each["text"]["response"].strip(), label)
        for each in raw(suite_data, "CSC", "dev")
        for person, label in each["annotations"].items()
    )
    got = Counter(
        (s.sequence_id, shown["context"], shown["response"], label)
        for s in sequences
        for shown, label in answers(s)
    )
    assert got == expected
    assert got.total() == 3186 and len(sequences) == 850
    assert Counter(label for *_, label in got.elements()) == {
        "1": 1197,
        "2": 497,
        "3": 413,
        "4": 506,
        "5": 374,
        "6": 199,
    }
    assert dropped == {"no file CSC_train.json": 1}
    assert not any("CONSENT" in s.messages[0]["content"] for s in sequences)


def test_every_real_judgement_of_irony_is_an_output(suite_data, built):
    sequences, dropped = built(IRONY)
    expected = Counter(
        (person, each["text"]["reply"].strip(), each["lang"], label)
        for each in raw(suite_data, "MP", "dev")
        for person, label in each["annotations"].items()
    )
    got = Counter(
        (s.sequence_id, shown["reply"], shown["lang"], label)
        for s in sequences
        for shown, label in answers(s)
    )
    assert got == expected
    assert len(sequences) == 506 and Counter(label for *_, label in got.elements()) == {"0": 10157, "1": 5021}
    assert dropped == {"no file MP_train.json": 1}
    for sequence in sequences:
        assert "gender: " in sequence.messages[0]["content"] or "age: " in sequence.messages[0]["content"]
        assert "EXPIRED" not in sequence.messages[0]["content"]
    assert {shown["level"] for s in sequences for shown, _ in answers(s)} == {"1", "2"}


def test_irony_joins_bare_numbers_of_annotators_and_leaves_out_what_expired(tmp_path):
    folder = tmp_path / "lewidi" / "MP"
    facts = {"source": "reddit", "level": 2.0, "language_variety": "in"}
    good = item({"Ann0": "1", "Ann7": "2"}, lang="hi", other=facts, post="पोस्ट", reply="r")
    write(folder, "train", a=good, b=item({"Ann0": "0"}, other=facts | {"level": None}, post="p", reply="r"))
    write(folder, "dev", a=item({"Ann7": "0"}, other=facts, post="p", reply="r"))
    (folder / "MP_annotators_meta.json").write_text(
        '{"0": {"Age": 19.0, "Gender": "Female", "Student status": "DATA_EXPIRED",}, "7": {"Age": NaN}}'
    )
    dropped = Counter()
    first, second = IRONY.sequences(tmp_path, seed=0, dropped=dropped)
    assert first.sequence_id == "Ann0" and "(age: 19, gender: Female)" in first.messages[0]["content"]
    assert answers(first) == [
        (
            {
                "post": "पोस्ट",
                "reply": "r",
                "source": "reddit",
                "level": "2",
                "language_variety": "in",
                "lang": "hi",
            },
            "1",
        )
    ]
    assert second.sequence_id == "Ann7" and "age:" not in second.messages[0]["content"]
    assert dropped == {"not on the scale": 1, "empty input": 1}


def test_sarcasm_reads_the_train_file_where_it_is(tmp_path):
    folder = tmp_path / "lewidi" / "CSC"
    write(folder, "dev", a=item({"Ann1": "6"}, other={"context+speaker": "1_2"}, context="c", response="d"))
    (folder / "CSC_annotators_meta.json").write_text('{"Ann1": {"Gender": "nan", "Age": "CONSENT_REVOKED"}}')
    dropped = Counter()
    (alone,) = SARCASM.sequences(tmp_path, seed=0, dropped=dropped)
    assert answers(alone) == [({"context": "c", "response": "d", "lang": "en"}, "6")]
    assert "(" not in alone.messages[0]["content"].replace("(not at all)", "").replace("(completely)", "")
    assert dropped == {"no file CSC_train.json": 1}
    write(folder, "train", b=item({"Ann1": "12"}, context="c", response="e"))
    dropped.clear()
    assert list(SARCASM.sequences(tmp_path, seed=0, dropped=dropped)) == [alone]
    assert dropped == {"not on the scale": 1}


def test_broken_files_are_named(tiny):
    path = tiny / "lewidi/VariErrNLI/VariErrNLI_dev.json"
    path.write_text('{"1": {"text": {}, "lang": "en", "annotators": "", "annotation": {}, "other_info": {}}}')
    with pytest.raises(UserError, match=naming("VariErrNLI_dev.json", "item 1", "column", "'annotations'")):
        list(NLI.sequences(tiny, seed=0))
    write(path.parent, "dev", a=item({"Ann1": "neutral"}, contxt="c", statement="s"))
    with pytest.raises(UserError, match=naming("item", "'context'", "'contxt'")):
        list(NLI.sequences(tiny, seed=0))
    path.write_text('{"1": {"text"')
    with pytest.raises(UserError, match=naming("VariErrNLI_dev.json", "JSON", "line 1")):
        list(NLI.sequences(tiny, seed=0))
    path.unlink()
    assert NLI.missing(tiny) == ["lewidi/VariErrNLI/VariErrNLI_dev.json"]


def test_paper_sampling_reads_train_alone(suite_data):
    """The figures of the catalogue, less 62 repetitions of the same pair and labels in VariErrNLI."""
    for task in TASKS:
        found = list(task.sequences(suite_data, seed=0, paper=True))
        n_outputs = sum(each.n_outputs for each in found)
        if "_par_" in task.name:
            assert (len(found), n_outputs) == (80, 1600)
        elif "_varierrnli_" in task.name:
            assert n_outputs == 1505 - 62
        else:
            # Their train files are not at hand.
            assert found == list(task.sequences(suite_data, seed=0))


def test_paper_sampling_leaves_dev_out_where_train_is_there(tmp_path):
    fixture.write(tmp_path)
    for task in TASKS:
        n_paper, n_all = (
            sum(each.n_outputs for each in task.sequences(tmp_path, seed=0, paper=paper))
            for paper in (True, False)
        )
        assert 0 < n_paper < n_all
