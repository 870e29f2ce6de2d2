import csv
import json
from collections import Counter
from html.parser import HTMLParser

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources.generativesocialchoice import TASKS
from tests.messages import naming

VALIDATION, FREETEXT = TASKS
SCALES = {
    "abortion": "very poorly, poorly, moderately, well, very well, excellently, exceptionally",
    "chatbot_personalization": "not at all, poorly, somewhat, mostly, perfectly",
}
HEADER = "user_id,step,question_type,question_text,json_choices,choice,text,sample_type\n"


def plain(html):
    parts = []
    parser = HTMLParser()
    parser.handle_data = parts.append
    parser.feed(html)
    parser.close()
    return "".join(parts)


def raw(data, survey):
    path = data / f"generativesocialchoice/data/{survey}_survey.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answers(sequence):
    turns = sequence.messages[1:]
    return [(turns[i]["content"], turns[i + 1]["content"]) for i in range(0, len(turns), 2)]


@pytest.fixture(scope="module")
def validation(built):
    return built(VALIDATION)


def test_every_rating_is_an_output_with_its_reason(suite_data, validation):
    sequences, dropped = validation
    expected = Counter(
        (
            f"{survey}/{row['user_id']}",
            plain(row["question_text"]).strip(),
            row["choice"],
            row["text"].strip(),
        )
        for survey in SCALES
        for row in raw(suite_data, survey)
        if row["question_type"] == "multiple choice + text"
    )
    got = Counter(
        (s.sequence_id, json.loads(shown)["question"], *json.loads(given).values())
        for s in sequences
        for shown, given in answers(s)
    )
    assert got == expected and got.total() == 2600
    # 200 people of each survey: a hundred wrote free answers too, a hundred only rated.
    assert Counter((s.sequence_id.split("/")[0], s.n_outputs) for s in sequences) == {
        ("abortion", 5): 100,
        ("abortion", 10): 100,
        ("chatbot_personalization", 6): 100,
        ("chatbot_personalization", 5): 100,
    }
    assert dropped == {"not a question of type multiple choice + text": 3200}


def test_questions_are_plain_and_descriptions_name_topic_and_scale(validation):
    for sequence in validation[0]:
        survey = sequence.sequence_id.split("/")[0]
        said = sequence.messages[0]["content"]
        assert SCALES[survey] in said and survey.split("_")[0] in said
        for shown, given in answers(sequence):
            found = json.loads(shown)
            assert ", ".join(found["choices"]) == SCALES[survey]
            assert not set("<>") & set(found["question"])
            assert json.loads(given)["choice"] in found["choices"]


def test_the_seed_alone_decides(built, validation):
    assert validation == built(VALIDATION)
    assert validation[0] != built(VALIDATION, seed=1)[0]


def test_a_label_outside_the_scale_is_counted_and_a_missing_reason_left_out(tmp_path):
    folder = tmp_path / "generativesocialchoice" / "data"
    folder.mkdir(parents=True)
    question = '"Consider:\n\n""Tea &amp; <b>milk</b>""\n\nTo what extent?"'
    kind = "multiple choice + text"
    rows = [
        f'v1,1,{kind},{question},"[""no"", ""yes""]",yes,because,validation\n',
        f'v1,2,{kind},{question},"[""no"", ""yes""]",maybe,because,validation\n',
        f"""v1,3,{kind},What now?,"['no', 'yes']",no,,generation\n""",
        f"v1,4,{kind},What now?,,no,x,generation\n",
        f'v1,5,{kind}, ,"[""no""]",no,x,generation\n',
    ]
    for survey in SCALES:
        (folder / f"{survey}_survey.csv").write_text(HEADER + "".join(rows))
    dropped = Counter()
    sequences = list(VALIDATION.sequences(tmp_path, seed=0, dropped=dropped))
    assert [sorted(answers(sequence)) for sequence in sequences] == [
        [
            (
                json.dumps(
                    {"question": 'Consider:\n\n"Tea & milk"\n\nTo what extent?', "choices": ["no", "yes"]}
                ),
                '{"choice": "yes", "reason": "because"}',
            ),
            ('{"question": "What now?", "choices": ["no", "yes"]}', '{"choice": "no"}'),
        ]
    ] * 2
    assert dropped == {"not on the scale": 4, "empty input": 2}
    (folder / "abortion_survey.csv").write_text("user_id\nv1\n")
    with pytest.raises(UserError, match=naming("abortion_survey.csv", "column", "'question_type'")):
        list(VALIDATION.sequences(tmp_path, seed=0))


@pytest.fixture(scope="module")
def freetext(built):
    return built(FREETEXT)


def test_every_free_answer_is_an_output(suite_data, freetext):
    sequences, dropped = freetext
    expected = Counter(
        (f"{survey}/{row['user_id']}", plain(row["question_text"]).strip(), row["text"].strip())
        for survey in SCALES
        for row in raw(suite_data, survey)
        if row["question_type"] == "text" and row["text"].strip()
    )
    assert Counter((s.sequence_id, *pair) for s in sequences for pair in answers(s)) == expected
    assert len(sequences) == 200 and expected.total() == 1299
    assert dropped == {"not a question of type text": 4500, "empty output": 1}
    assert Counter((s.sequence_id.split("/")[0], s.n_outputs) for s in sequences) == {
        ("abortion", 5): 100,
        ("chatbot_personalization", 8): 99,
        ("chatbot_personalization", 7): 1,
    }


def test_open_questions_are_shown_without_markup(freetext):
    questions = {question for s in freetext[0] for question, _ in answers(s)}
    assert len(questions) == 13
    assert not any("<" in question or "&" in question for question in questions)


def test_free_answers_of_small_files(tmp_path):
    folder = tmp_path / "generativesocialchoice" / "data"
    folder.mkdir(parents=True)
    question = '"<h3>You</h3>\r\n<p>Tea &amp; <strong>milk</strong>?</p>"'
    rows = [
        f'g1,1,text,{question},,," Café, yes\n ",generation\n',
        f"g1,2,text,{question},,, ,generation\n",
        "g1,3,text,<p></p>,,,No,generation\n",
        "g1,4,reading,Read this,,,,generation\n",
        'v1,1,multiple choice + text,Q,"[""no""]",no,because,validation\n',
        f"g2,1,text,{question},,,NA,generation\n",
    ]
    for survey in SCALES:
        (folder / f"{survey}_survey.csv").write_text(HEADER + "".join(rows), encoding="utf-8-sig")
    dropped = Counter()
    sequences = list(FREETEXT.sequences(tmp_path, seed=0, dropped=dropped))
    assert {s.sequence_id: answers(s) for s in sequences} == {
        f"{survey}/{person}": [("You\r\nTea & milk?", text)]
        for survey in SCALES
        for person, text in (("g1", "Café, yes"), ("g2", "NA"))
    }
    assert all(("abortion" in s.messages[0]["content"]) == ("abortion/" in s.sequence_id) for s in sequences)
    assert dropped == {"empty output": 2, "empty input": 2, "not a question of type text": 4}
    (folder / "abortion_survey.csv").write_text(
        "user_id,question_type,question,json_choices,choice,text\ng1,text,Q,,,A\n"
    )
    with pytest.raises(UserError, match=naming("abortion_survey.csv", "'question_text'", "'question_type'")):
        list(FREETEXT.sequences(tmp_path, seed=0))
