from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from spectrum_trl.errors import MissingData, UserError
from spectrum_trl.suite.source import SUITE
from spectrum_trl.suite.sources.multiple_choice import Item, asked, choice_task, letter
from spectrum_trl.suite.task import Data
from tests.messages import naming


def shown(*items):
    dropped = Counter()
    return [
        (row["question"], row["answer"]) for row in asked(items, Data(Path("nowhere"), 0, dropped))
    ], dropped


def test_choices_are_lettered_lines_below_the_question():
    assert shown(Item(" Why? ", ["one", "two\n words", 3], "C")) == (
        [("Why?\nA. one\nB. two words\nC. 3", "C")],
        {},
    )


def test_labels_of_the_source_stay():
    assert shown(Item("Why?", ["a", "b"], " 2 ", labels=["1 ", "2"])) == ([("Why?\n1. a\n2. b", "2")], {})


def test_questions_that_lack_a_part_are_counted():
    found, dropped = shown(
        Item(None, ["a", "b"], "A"),
        Item("Why?", ["a", " "], "A"),
        Item("Why?", ["a"], "A"),
        Item("Why?", ["a", "b"], "C"),
        Item("Why?", ["a", "b"], ""),
        Item("Why?", ["a", "b"], "A", labels=["A"]),
        Item("Why?", ["a", "b"], "A", labels=["A", "A"]),
        Item("Why?", ["a", "b"], "A", labels=["A", ""]),
        Item("Why?", ["a"] * 27, "A"),
    )
    assert found == []
    assert dropped == {
        "question without text": 1,
        "choice without text, or fewer than two": 2,
        "answer that is none of the choices": 2,
        "not one label for each choice": 4,
    }


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (0, "A"),
        ("3", "D"),
        (25, "Z"),
        (26, ""),
        (-1, ""),
        (None, ""),
        ("", ""),
        ("²", ""),
        (True, ""),
        (1.5, ""),
    ],
)
def test_letters_count_from_zero(place, expected):
    assert letter(place) == expected


def table(file, **given):
    roles = {"source": SUITE, "summary": "", "descriptions": ("Answer.",), "length": 5}
    return choice_task("asked", file=file, **roles, **given).build


def test_each_question_is_asked_once_or_drawn_anew(tmp_path):
    pd.DataFrame({"q": [f"Why {n}?" for n in range(7)]}).to_parquet(tmp_path / "b.parquet")
    pd.DataFrame({"q": [f"How {n}?" for n in range(4)]}).to_parquet(tmp_path / "a.parquet")

    build = table("*.parquet", columns=("q",), item=lambda row: Item(row["q"], ["yes", "no"], "B"))

    def built(draws, seed=0):
        return list(replace(build, draws=draws)(Data(tmp_path, seed, Counter())))

    once = built(None)
    assert [len(messages) // 2 for _, messages in once] == [5, 5, 1]
    questions = [turn["content"] for _, messages in once for turn in messages if turn["role"] == "input"]
    assert sorted(questions) == sorted(
        f"{word} {n}?\nA. yes\nB. no" for word, count in (("Why", 7), ("How", 4)) for n in range(count)
    )
    drawn = built(9)
    assert [len(messages) // 2 for _, messages in drawn] == [5] * 9
    assert drawn == built(9) != built(9, seed=1)


def test_a_missing_table_and_a_missing_column_are_named(tmp_path):
    def read(columns):
        build = table("a/*.parquet", columns=columns, item=None)
        return list(build(Data(tmp_path, 0, Counter())))

    with pytest.raises(MissingData, match=naming("a/*.parquet", "exist")):
        read(("q",))
    (tmp_path / "a").mkdir()
    pd.DataFrame({"question": ["Why?"]}).to_parquet(tmp_path / "a" / "b.parquet")
    with pytest.raises(UserError, match=naming("b.parquet", "'questions'", "'question'")):
        read(("questions",))
