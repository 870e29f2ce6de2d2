"""A declared task: which rows stay, how they become sequences, and which groups are kept for evaluation."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectrum_trl.errors import UserError
from spectrum_trl.suite.sequences.declared import Declared, declared_task
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Data, Message, Split
from tests.messages import named, naming

TABLE = """who,film,stars,kind
ann,Alien,5,a
ann,Heat,3,b
ann,Heat,3,b
bob,Alien,1,a
bob,Brazil,2,c
bob,,4,a
eve,Heat,,a
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "films.csv").write_text(TABLE)
    return tmp_path


def build(folder: Path, *, seed: int = 0, **settings: Any) -> tuple[dict[str, list[Message]], dict[str, int]]:
    given: dict[str, Any] = {
        "file": "films.csv",
        "output": "stars",
        "descriptions": ("Ratings.",),
        **settings,
    }
    dropped: Counter[str] = Counter()
    return dict(Declared(**given)(Data(folder, seed, dropped))), dict(dropped)


def contents(messages: list[Message], role: str) -> list[str]:
    return sorted(each["content"] for each in messages if each["role"] == role)


def test_groups_become_sequences_and_empty_cells_are_counted(folder: Path) -> None:
    found, dropped = build(folder, group_by=("who",), input="film", descriptions=("{who} rates films.",))
    assert list(found) == ["ann", "bob"]
    assert found["bob"][0] == {"role": "description", "content": "bob rates films."}
    assert contents(found["ann"], "input") == ["Alien", "Heat", "Heat"]
    assert contents(found["bob"], "output") == ["1", "2"]
    assert dropped == {"empty input": 1, "empty output": 1}


def test_kept_values_labels_and_repeated_rows(folder: Path) -> None:
    found, dropped = build(
        folder,
        group_by=("who",),
        input="film",
        keep={"kind": ("a", "b")},
        labels={"5": "great", "3": "fair", "1": "bad"},
        unique=True,
    )
    assert contents(found["ann"], "output") == ["fair", "great"]
    assert contents(found["bob"], "output") == ["bad"]
    assert dropped == {
        "another kind than a or b": 1,
        "same as an earlier row": 1,
        "unknown label '4'": 1,
        "empty output": 1,
    }
    assert sum(dropped.values()) + 3 == TABLE.count("\n") - 1


def test_a_function_sees_the_columns_that_it_needs(folder: Path) -> None:
    def said(row: Any) -> str:
        return f"{row['film']}: {row['stars']}" if row["kind"] == "a" else ""

    found, dropped = build(folder, group_by=("who",), output=said, columns=("film", "stars", "kind"))
    assert contents(found["ann"], "output") == ["Alien: 5"] and dropped == {"empty output": 3}
    with pytest.raises(KeyError):
        build(folder, group_by=("who",), output=said)


def test_several_columns_are_one_json_object(folder: Path) -> None:
    found, _ = build(
        folder, group_by=("who", "kind"), input={"Film": "film"}, output={"n": "stars", "k": "kind"}
    )
    assert list(found) == ["ann/a", "ann/b", "bob/a", "bob/c"]
    assert contents(found["bob/c"], "input") == ['{"Film": "Brazil"}']
    assert contents(found["bob/c"], "output") == ['{"n": "2", "k": "c"}']


def test_draws_at_least_and_most(folder: Path) -> None:
    found, dropped = build(folder, group_by=("film",), draws=3, length=2, at_least=2)
    assert list(found) == ["Alien/0", "Alien/1", "Alien/2", "Heat/0", "Heat/1", "Heat/2"]
    assert all(len(messages) == 3 for messages in found.values())
    assert dropped["of a group with fewer than 2 samples"] == 1
    assert (
        list(build(folder, group_by=("film",), draws=3, length=2, at_least=2, most=4)[0]) == list(found)[:4]
    )
    assert list(build(folder, group_by=("film",), permutations=2)[0])[:2] == ["Alien/0", "Alien/1"]


def test_pooled_rows_are_mixed_by_name_and_seed(folder: Path) -> None:
    (folder / "films.csv").write_text("stars\n" + "\n".join(map(str, range(50))))
    made = {
        key: build(folder, seed=key[1], length=7, name=key[0])[0] for key in [("a", 0), ("a", 1), ("b", 0)]
    }
    assert list(made["a", 0])[0] == "a/0" and len(made["a", 0]) == 8
    orders = {str(list(found.values())) for found in made.values()}
    assert len(orders) == 3
    assert build(folder, length=7, name="a")[0] == made["a", 0]


def test_all_files_of_a_pattern_are_read_in_order(folder: Path) -> None:
    for name in "ba":
        (folder / f"part-{name}.csv").write_text(f"who,stars\n{name},1\n")
    found, _ = build(folder, file="part-*.csv", group_by=("who",))
    assert list(found) == ["a", "b"]
    with pytest.raises(UserError, match=naming("none-*.csv", "exist")):
        build(folder, file="none-*.csv")


def test_a_column_that_a_description_names_is_looked_for(folder: Path) -> None:
    with pytest.raises(UserError, match=naming("'whom'", "'who'")):
        build(folder, group_by=("who",), descriptions=("{whom} rates.",))


def test_a_declared_task_says_whether_it_is_in_the_paper_and_how_often_it_is_described() -> None:
    source = Source(name="penguins", title="Penguins", licence="CC0")
    facts: dict[str, Any] = {"kind": "numeric", "summary": "bill lengths", "file": "penguins.csv"}
    roles: dict[str, Any] = {"output": "length", "descriptions": ("Bills.",)}
    assert declared_task("penguins", source=source, **facts, **roles).in_paper
    assert not declared_task("penguins", source=source, in_paper=False, **facts, **roles).in_paper
    task = declared_task("penguins", source=source, description_probability=0.25, **facts, **roles)
    assert task.description_probability == 0.25
    assert declared_task("penguins", source=source, **facts, **roles).description_probability == 0.6


def test_tasks_are_keys_of_caches() -> None:
    one = Declared(
        file="a.csv",
        output="a",
        input={"c": "d"},
        descriptions=("x",),
        keep={"k": ("1",)},
        labels={"a": "b"},
    )
    assert {one: 1}[one] == 1


def parts(
    folder: Path, groups: int, *, share: float, seed: int = 0, name: str = "t"
) -> dict[Split | None, set[str]]:
    rows = [f"{group},{row}" for row in range(2) for group in range(groups)]
    (folder / "parts.csv").write_text("\n".join(["g,x", *rows]))
    wanted: tuple[Split | None, ...] = ("train", "test", None)
    found: dict[Split | None, set[str]] = {}
    for part in wanted:
        given = {"part": part, "test_share": share, "seed": seed, "name": name}
        try:
            found[part] = set(build(folder, file="parts.csv", output="x", group_by=("g",), **given)[0])
        except UserError as error:
            assert named(str(error), part, groups)
            found[part] = set()
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    groups=st.integers(0, 60).map(lambda n: n + 1),
    share=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 99),
    name=st.text(),
)
def test_no_group_is_in_both_parts_and_none_is_lost(
    tmp_path: Path, groups: int, share: float, seed: int, name: str
) -> None:
    found = parts(tmp_path, groups, share=share, seed=seed, name=name)
    assert not found["train"] & found["test"]
    assert found["train"] | found["test"] == found[None]
    # Whatever the seed.
    assert parts(tmp_path, groups, share=share, seed=seed + 1, name=name) == found


def test_the_share_is_about_right_and_grows_without_moving_anybody(tmp_path: Path) -> None:
    small, large = (parts(tmp_path, 2000, share=share)["test"] for share in (0.1, 0.3))
    assert abs(len(small) / 2000 - 0.1) < 0.02 and abs(len(large) / 2000 - 0.3) < 0.03
    assert small < large
    # Those added to a table later move nobody either.
    assert parts(tmp_path, 3000, share=0.1)["test"] > small
    # Tables on the same people keep the same ones.
    assert parts(tmp_path, 2000, share=0.1, name="other")["test"] == small


def test_rows_of_the_other_part_are_not_counted_as_dropped(folder: Path) -> None:
    every = build(folder, group_by=("who",), labels={"1": "1"})[1]
    divided = [
        build(folder, group_by=("who",), labels={"1": "1"}, part=part, test_share=0.5)[1]
        for part in ("train", "test")
    ]
    assert sum(map(Counter, divided), Counter[str]()) == every


@pytest.mark.parametrize(
    "wrong",
    [{"group_by": "who"}, {"descriptions": "One {who}"}, {"output": {"s": "a"}, "labels": {"1": "1"}}],
)
def test_a_text_in_place_of_a_tuple_and_labels_of_several_columns_are_refused(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"file": "a.csv", "output": "a", "descriptions": ("x",), **wrong}
    with pytest.raises(TypeError, match="expected a tuple of texts|must be one column"):
        Declared(**given)


def test_a_row_is_a_repetition_only_if_all_its_columns_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,what,how\na,x,1\na,x,2\na,x,1\n")
    declared = Declared(
        file="a.csv", group_by=("who",), input="what", output="how", descriptions=("d",), unique=True
    )
    dropped: Counter[str] = Counter()
    ((_, messages),) = declared(Data(tmp_path, 0, dropped))
    assert sorted(contents(messages, "output")) == ["1", "2"] and dropped.total() == 1
