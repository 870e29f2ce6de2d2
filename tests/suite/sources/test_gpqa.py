import zipfile
from collections import Counter

import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.sources.gpqa import ARCHIVE, PASSWORD, TASKS
from tests.messages import naming
from tests.suite.fixtures import gpqa as fixture

(GPQA,) = TASKS


@pytest.fixture
def data(tmp_path):
    fixture.write(tmp_path)
    return tmp_path


@pytest.fixture
def packed(tmp_path, monkeypatch):
    path = tmp_path / ARCHIVE
    path.parent.mkdir()
    path.write_bytes(fixture.protected("dataset/gpqa_main.csv", fixture.table(), password="open sesame"))
    monkeypatch.setenv(PASSWORD, "open sesame")
    return tmp_path


def build(folder, *, seed=0, paper=False):
    dropped = Counter()
    return list(GPQA.sequences(folder, seed=seed, dropped=dropped, paper=paper)), dropped


def answered(sequences):
    """Return the text of the choice that each output names, by question."""
    found = {}
    for sequence in sequences:
        turns = [turn["content"] for turn in sequence.messages[1:]]
        for asked, label in zip(turns[::2], turns[1::2], strict=True):
            question, *choices = asked.split("\nA. ")[0], *asked.split("\nA. ")[1].split("\n")
            letters = {"A": choices[0], **{line[0]: line[3:] for line in choices[1:]}}
            found[question] = (letters[label], sorted(letters.values()), label)
    return found


def test_every_question_is_asked_once_and_the_letter_is_of_the_right_choice(data):
    sequences, dropped = build(data)
    assert [each.n_outputs for each in sequences] == [20, 20, 5]
    found = answered(sequences)
    assert len(found) == 45
    for n in range(2, 46):
        right, choices, _ = found[f'What is "{n}"\nin base 2?']
        assert right == f"{n:b} ✓" and choices == sorted([f"{n:b} ✓", f"{n}", f"{n + 1}", f"-{n}"])
    assert found["Only three?"][:2] == ("yes", ["maybe", "no", "yes"])
    assert {label for *_, label in found.values()} == set("ABCD")
    assert dropped == {
        "question without its correct answer": 1,
        "question without text": 1,
        "row with another number of fields than the header": 1,
    }


def test_the_order_of_choices_depends_on_the_seed_and_the_question_alone(data):
    first = answered(build(data)[0])
    (path,) = data.rglob("*.csv")
    header, _, rest = path.read_bytes().split(b"\r\n", 2)
    path.write_bytes(header + b"\r\n" + rest)
    fewer = answered(build(data)[0])
    assert len(fewer) == 44 and fewer == {name: first[name] for name in fewer}
    assert {name: label for name, (*_, label) in answered(build(data, seed=1)[0]).items()} != {
        name: label for name, (*_, label) in fewer.items()
    }


def test_paper_sampling_draws_a_thousand_sequences_of_twenty(data):
    found, _ = build(data, paper=True)
    assert len(found) == 1000 and {each.n_outputs for each in found} == {20}


def test_the_protected_archive_gives_the_same_and_nothing_is_written(packed, tmp_path_factory):
    before = {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()}
    plain = tmp_path_factory.mktemp("plain")
    fixture.write(plain)
    assert not GPQA.missing(packed)
    assert build(packed) == build(plain)
    assert {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()} == before
    assert b"base 2" not in before[packed / ARCHIVE]


def test_a_table_beside_the_archive_is_read_first(packed, monkeypatch):
    monkeypatch.delenv(PASSWORD)
    path = packed / "gpqa" / "dataset" / "gpqa_main.csv"
    path.parent.mkdir()
    path.write_bytes(fixture.table())
    assert len(build(packed)[0]) == 3


@pytest.mark.parametrize("wrong", [None, "", *(f"guess {n}" for n in range(40))])
def test_without_the_password_the_way_to_it_is_told(packed, monkeypatch, wrong):
    # By chance one wrong password in 256 is noticed only by what comes out.
    if wrong is None:
        monkeypatch.delenv(PASSWORD)
    else:
        monkeypatch.setenv(PASSWORD, wrong)
    with pytest.raises(UserError, match=naming("dataset.zip", PASSWORD, "github.com/idavidrein/gpqa")):
        build(packed)


def test_broken_files_are_named(packed):
    path = packed / ARCHIVE
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dataset/gpqa_diamond.csv", "x")
    with pytest.raises(UserError, match=naming("dataset.zip", "gpqa_main.csv", "dataset/gpqa_diamond.csv")):
        build(packed)
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=naming("dataset.zip", "not valid", "ZIP")):
        build(packed)
    path.unlink()
    assert GPQA.missing(packed) == list(GPQA.files)
    with pytest.raises(MissingData, match=naming("dataset.zip", "exist", "fetch gpqa", "gpqa_main.csv")):
        build(packed)
    plain = packed / "gpqa" / "gpqa_main.csv"
    plain.write_text("Question,Correct Answers\nWhy?,so\n")
    with pytest.raises(UserError, match=naming("'correct answer'", "'correct answers'")):
        build(packed)
    plain.write_bytes(b"Question\n\xff\n")
    with pytest.raises(UserError, match=naming("gpqa_main.csv", "UTF-8")):
        build(packed)
    plain.write_bytes(b"")
    with pytest.raises(UserError, match=naming("gpqa_main.csv", "not valid", "CSV")):
        build(packed)
