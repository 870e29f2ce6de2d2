"""Several things asked for of the same rows: each has sequences of its own, drawn from a mix of its own."""

from collections import Counter

import pytest

from spectrum_trl.suite.sequences.subtasks import Part, pooled_parts

ROWS = [{"title": f"title {n}", "body": f"body {n}" if n else ""} for n in range(200)]
PARTS = (
    Part("titles", "title", ("Titles.",)),
    Part("titles_again", "title", ("Titles.",)),
    Part("bodies", "body", ("Bodies.",), input="title"),
)


@pytest.mark.parametrize("most", [None, 2])
def test_each_part_has_its_own_sequences_of_all_rows_or_the_first_ones(most: int | None) -> None:
    dropped: Counter[str] = Counter()
    found = list(pooled_parts(ROWS, task="posts", parts=PARTS, mean=16, seed=0, dropped=dropped, most=most))
    for part in PARTS:
        mine = [messages for name, messages in found if name.startswith(f"posts/{part.name}/")]
        outputs = [m["content"] for messages in mine for m in messages if m["role"] == "output"]
        assert len(mine) == most if most else len(outputs) == 200 - (part.name == "bodies")
        assert len(set(outputs)) == len(outputs)
        assert any(m["role"] == "input" for m in mine[0]) == (part.input is not None)
    assert sum(dropped.values()) == 1


def test_parts_of_the_same_rows_mix_them_differently() -> None:
    found = list(pooled_parts(ROWS, task="posts", parts=PARTS[:2], mean=16, seed=0, dropped=Counter()))
    orders = [
        [m["content"] for name, messages in found if f"/{part.name}/" in name for m in messages]
        for part in PARTS[:2]
    ]
    assert orders[0] != orders[1] and sorted(set(orders[0])) == sorted(set(orders[1]))
