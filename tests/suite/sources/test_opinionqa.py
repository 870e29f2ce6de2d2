from collections import Counter
from string import ascii_uppercase

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sources import opinionqa
from spectrum_trl.suite.sources.opinionqa import TASKS
from spectrum_trl.suite.task import Data
from tests.messages import naming
from tests.suite.fixtures.opinionqa import ANSWERS, TRAITS, WAVES, shown, write

INDIVIDUAL, QUESTIONS = TASKS
COMBINED = "opinionqa/human_resp/Pew_American_Trends_Panel_disagreement_500/info.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("opinionqa")
    write(path)
    return path


def build(task, folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(task.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def test_a_respondent_gives_each_answer_once_as_a_letter(folder):
    sequences, dropped = build(INDIVIDUAL, folder)
    assert [each.sequence_id for each in sequences] == [
        f"W{wave}/{person}" for wave in WAVES for person in range(3)
    ]
    for each in sequences:
        wave, person = (int(part) for part in each.sequence_id[1:].split("/"))
        turns = [turn["content"] for turn in each.messages[1:]]
        assert Counter(zip(turns[::2], turns[1::2], strict=True)) == Counter(
            (shown(wave, place), "ABCDE"[answer])
            for place, answer in enumerate(ANSWERS[person])
            if answer is not None
        )
    assert dropped == {
        "question not asked or not answered": 4 * 15,
        "answer that is none of the options": 15,
        "question without key, text or up to 26 options": 2,
    }


def test_only_known_traits_are_told_and_some_are_left_out(folder):
    told = {}
    for seed in range(12):
        for each in build(INDIVIDUAL, folder, seed=seed)[0]:
            told.setdefault(int(each.sequence_id.split("/")[1]), []).append(each.messages[0]["content"])
    for person, said in told.items():
        known = {name: values[person] for name, values in TRAITS.items()}
        for words in (f"{opinionqa.TRAITS[name]}: {value}" for name, value in known.items()):
            value = words.split(": ")[1]
            assert any(words in each for each in said) == (value.lower() not in ("", "refused", "dk/ref"))
            assert not all(words in each for each in said)
        assert not any("nan" in each or "DK" in each or "efused" in each or ": ," in each for each in said)
        assert set(opinionqa.INDIVIDUAL_DESCRIPTIONS) <= set(said)
    lists = [each.count(": ") for each in told[0] if "sex" in each]
    assert 6 < sum(lists) / len(lists) < 11


def test_questions_of_a_wave_are_one_sequence(folder):
    sequences, dropped = build(QUESTIONS, folder)
    assert {
        each.sequence_id: sorted(turn["content"] for turn in each.messages[1:]) for each in sequences
    } == {str(wave): sorted(shown(wave, place) for place in range(3)) for wave in WAVES}
    assert dropped == {"question without key, text or up to 26 options": 2}
    assert not QUESTIONS.missing(folder)


def test_the_paper_draws_200_respondents_of_each_wave(folder):
    assert INDIVIDUAL.paper.keywords == {"most": 200}
    drawn = set()
    for seed in range(6):
        dropped = Counter()
        found = [name for name, _ in opinionqa.individual(Data(folder, seed, dropped), most=2)]
        assert 15 <= len(found) <= 30
        assert dropped["respondent who was not drawn"] == 30
        drawn.add(tuple(found))
    assert len(drawn) == 6
    assert build(INDIVIDUAL, folder, paper=True)[0] == build(INDIVIDUAL, folder)[0]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_order_depends_on_the_seed_alone(folder, task):
    assert build(task, folder)[0] == build(task, folder)[0] != build(task, folder, seed=1)[0]


def test_a_missing_question_is_named(folder, tmp_path):
    write(tmp_path)
    path = tmp_path / opinionqa.RESPONSES[1]
    path.write_text(path.read_text().replace("JOB_W27", "JOBS_W27"))
    with pytest.raises(UserError, match=naming("_W27/responses.csv", "'JOB_W27'", "'JOBS_W27'")):
        build(INDIVIDUAL, tmp_path)


def test_published_questions_are_read(suite_data):
    path = suite_data / COMBINED
    if not path.exists():
        pytest.skip(f"needs {path}")
    dropped = Counter()
    found = opinionqa.questions(path, dropped=dropped)
    assert len(found) == 498 and not dropped
    assert all("Refused" in question.letters for question in found)
    assert Counter(len(question.letters) for question in found) == {5: 235, 4: 163, 6: 74, 3: 15, 7: 9, 10: 2}
    for question in found:
        lines = question.shown.split("\n")
        assert lines[1:] == [f"{letter}. {option}" for option, letter in question.letters.items()]
        assert "".join(question.letters.values()) == ascii_uppercase[: len(lines) - 1]
