from collections import Counter

import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.task import Data

pyreadstat = pytest.importorskip("pyreadstat")

from spectrum_trl.suite.sources import wvs  # noqa: E402
from spectrum_trl.suite.sources.wvs import TASKS  # noqa: E402
from tests.messages import naming  # noqa: E402
from tests.suite.fixtures.wvs import ANSWERS, PEOPLE, SHOWN, TRAITS, write  # noqa: E402

(TASK,) = TASKS


def build(folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(TASK.sequences(folder, seed=seed, dropped=dropped, paper=paper)), +dropped


def test_a_respondent_gives_each_answer_once_and_missing_codes_are_no_options(tmp_path):
    write(tmp_path)
    sequences, dropped = build(tmp_path)
    assert [each.sequence_id for each in sequences] == ["0", "1", "2", "4"]
    for each in sequences:
        turns = [turn["content"] for turn in each.messages[1:]]
        assert dict(zip(turns[::2], turns[1::2], strict=True)) == {
            SHOWN[question]: letter for question, letter in ANSWERS[int(each.sequence_id)].items()
        }
        assert len(turns) == 2 * len(ANSWERS[int(each.sequence_id)])
    assert dropped == {"question not asked or not answered": 6, "answer without a label": 1}


def test_known_traits_are_told_and_no_others(tmp_path):
    write(tmp_path)
    told = {}
    for seed in range(40):
        for each in build(tmp_path, seed=seed)[0]:
            told.setdefault(int(each.sequence_id), set()).add(each.messages[0]["content"])
    for person, said in told.items():
        expected = set(wvs.DESCRIPTIONS)
        if TRAITS[person]:
            expected |= {each.format(traits=TRAITS[person]) for each in wvs.TRAITS_DESCRIPTIONS}
        assert said == expected


def test_rows_are_read_some_at_a_time(tmp_path, monkeypatch):
    write(tmp_path)
    whole = build(tmp_path)
    for rows in (1, 2, 5):
        monkeypatch.setattr(wvs, "CHUNK_ROWS", rows)
        assert build(tmp_path) == whole
    assert whole[0] != build(tmp_path, seed=1)[0]


def test_the_paper_draws_2000_respondents(tmp_path):
    write(tmp_path)
    assert TASK.paper.keywords == {"most": 2000}
    assert build(tmp_path, paper=True)[0] == build(tmp_path)[0]
    drawn = set()
    for seed in range(9):
        dropped = Counter()
        drawn.add(tuple(name for name, _ in wvs.build(Data(tmp_path, seed, dropped), most=2)))
        assert dropped["respondent who was not drawn"] == len(PEOPLE) - 2
    assert len(drawn) > 3


def test_a_file_of_another_kind_and_a_missing_column_are_named(tmp_path):
    with pytest.raises(MissingData, match=naming("_v6_0.sav", "exist")):
        build(tmp_path)
    write(tmp_path)
    path = tmp_path / wvs.FILE
    frame, _ = pyreadstat.read_sav(path)
    pyreadstat.write_sav(frame, path)
    with pytest.raises(UserError, match=naming("_v6_0.sav", "questions", "options")):
        build(tmp_path)
    pyreadstat.write_sav(frame.rename(columns={"B_COUNTRY": "B_COUNTRIES"}), path)
    with pytest.raises(UserError, match=naming("'B_COUNTRY'", "'B_COUNTRIES'")):
        build(tmp_path)
    path.write_text("<html>")
    with pytest.raises(UserError, match=naming("_v6_0.sav", "SPSS")):
        build(tmp_path)
