import json
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrum_trl.suite.sequences.builders import (
    Part,
    as_json,
    description_message,
    grouped,
    iid,
    pair,
    pooled_parts,
    text,
)
from spectrum_trl.suite.task import Data

NAMES = st.sampled_from(["ann", "ben", "中文", "{person}", "7"])
NOWHERE = Path("nowhere")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "person": st.none() | NAMES,
            "question": st.sampled_from([None, "", "  ", "{person}", "why?", "\0"]) | st.text(max_size=5),
            "answer": st.sampled_from([None, "", " \n", "yes", "{", "no", 1, float("nan"), 2.5]),
        }
    ),
    max_size=40,
)
SEEDS = st.integers(0, 2**40)


def samples(messages):
    """Pairs of input (or None) and output that follow the description."""
    found, given_text = [], None
    for message in messages[1:]:
        if message["role"] == "input":
            given_text = message["content"]
        else:
            found.append((given_text, message["content"]))
            given_text = None
    return found


def build_people(rows, *, seed=0, dropped=None, **options):
    return list(
        grouped(
            rows,
            Data(NOWHERE, seed, Counter() if dropped is None else dropped),
            group_by="person",
            input="question",
            output="answer",
            descriptions=("Answers of {person}.", "What {person} says."),
            **options,
        )
    )


def test_turns_have_the_three_roles():
    assert description_message("a die") == {"role": "description", "content": "a die"}
    assert pair("q", "a") == [{"role": "input", "content": "q"}, {"role": "output", "content": "a"}]
    assert [message["role"] for message in iid(["1", "2"], description="a die")] == [
        "description",
        "output",
        "output",
    ]


@given(ROWS, SEEDS, st.integers(1, 3), st.none() | st.integers(1, 4))
def test_every_row_becomes_one_sample_of_its_person_or_is_counted(rows, seed, permutations, length):
    dropped = Counter()
    found = build_people(iter(rows), seed=seed, dropped=dropped, permutations=permutations, length=length)
    usable = Counter(
        (text(row["person"]), text(row["question"]), text(row["answer"]))
        for row in rows
        if text(row["person"]) and text(row["question"]) and text(row["answer"])
    )
    got = Counter((name.split("/")[0], *sample) for name, messages in found for sample in samples(messages))
    assert got == Counter({key: count * permutations for key, count in usable.items()})
    assert usable.total() + dropped.total() == len(rows)
    assert set(dropped) <= {"empty group", "empty output", "empty input"}


@given(ROWS, SEEDS, st.integers(1, 3), st.integers(1, 4))
def test_ids_are_unique_and_sequences_as_long_as_asked(rows, seed, permutations, length):
    found = build_people(rows, seed=seed, permutations=permutations, length=length)
    assert len({name for name, _ in found}) == len(found)
    assert all(1 <= len(samples(messages)) <= length for _, messages in found)
    assert all(messages[0]["role"] == "description" for _, messages in found)


@given(ROWS, SEEDS)
def test_pooled_rows_are_each_used_once_per_permutation(rows, seed):
    dropped = Counter()
    found = list(
        grouped(
            rows,
            Data(NOWHERE, seed, dropped),
            output="answer",
            descriptions="Answers.",
            length=3,
            permutations=2,
        )
    )
    usable = Counter(text(row["answer"]) for row in rows if text(row["answer"]))
    got = Counter(
        output for _, messages in found for given_text, output in samples(messages) if given_text is None
    )
    assert got == Counter({key: 2 * count for key, count in usable.items()})
    assert dropped == Counter(
        {"empty output": len(rows) - usable.total()} if len(rows) > usable.total() else {}
    )
    assert [name for name, _ in found] == [str(number) for number in range(len(found))]


@given(ROWS, ROWS, SEEDS)
def test_a_person_keeps_their_sequence_whoever_else_is_in_the_table(rows, others, seed):
    people = {row["person"] for row in rows}
    strangers = [row for row in others if row["person"] not in people]
    alone, together = build_people(rows, seed=seed), build_people(strangers + rows, seed=seed)
    assert all(sequence in together for sequence in alone)


def test_the_seed_alone_decides_the_order():
    rows = [{"person": "p", "question": str(number), "answer": str(number)} for number in range(20)]
    first, again, other = build_people(rows), build_people(rows), build_people(rows, seed=1)
    assert first == again
    assert first != other
    assert [given_text for given_text, _ in samples(first[0][1])] != [str(number) for number in range(20)]


def test_all_orders_of_a_group_are_equally_likely():
    rows = [{"person": "p", "question": letter, "answer": letter} for letter in "abc"]
    orders = Counter(
        "".join(output for _, output in samples(build_people(rows, seed=seed)[0][1])) for seed in range(1200)
    )
    assert len(orders) == 6
    assert min(orders.values()) > 140  # 200 expected, standard deviation 13


def test_all_wordings_are_used_and_name_the_facts_of_the_group():
    rows = [{"person": str(number), "question": "q", "answer": "a"} for number in range(50)]
    described = {name: messages[0]["content"] for name, messages in build_people(rows)}
    assert all(said in (f"Answers of {name}.", f"What {name} says.") for name, said in described.items())
    assert len({said.replace(name, "") for name, said in described.items()}) == 2


def test_braces_in_the_data_are_data():
    rows = [{"person": "{answer}", "question": "{person.__class__}", "answer": "{0}"}]
    messages = build_people(rows)[0][1]
    assert "{answer}" in messages[0]["content"]
    assert samples(messages) == [("{person.__class__}", "{0}")]


def test_facts_are_columns_of_every_row():
    rows = [{"person": "p", "answer": "a"}, {"person": "q", "answer": "b"}]
    found = grouped(
        rows,
        Data(NOWHERE, 0, Counter()),
        constants={"survey": "s", "topic": "tea"},
        group_by=("survey", "person"),
        output={"topic": "topic", "said": "answer"},
        descriptions="On {topic}.",
    )
    assert [
        (name, messages[0]["content"], json.loads(messages[1]["content"])) for name, messages in found
    ] == [
        ("s/p", "On tea.", {"topic": "tea", "said": "a"}),
        ("s/q", "On tea.", {"topic": "tea", "said": "b"}),
    ]


def test_a_json_field_with_an_empty_part_drops_the_row():
    dropped = Counter()
    rows = [{"a": "x", "b": ""}, {"a": "x", "b": 0}]
    found = list(
        grouped(rows, Data(NOWHERE, 0, dropped), output={"A": "a", "B": "b"}, descriptions="w", length=5),
    )
    assert [output for _, output in samples(found[0][1])] == ['{"A": "x", "B": 0}']
    assert dropped == {"empty output": 1}


def test_drawn_lengths_come_from_the_given_draw():
    rows = [{"answer": str(number)} for number in range(1000)]
    found = list(
        grouped(
            rows,
            Data(NOWHERE, 3, Counter()),
            output="answer",
            descriptions="w",
            mean_length=4,
        )
    )
    lengths = [len(samples(messages)) for _, messages in found]
    assert sum(lengths) == 1000 and len(set(lengths)) > 4
    assert np.mean(lengths[:-1]) == pytest.approx(4, abs=0.6)  # standard error 0.12


def test_a_length_without_samples_is_refused():
    data = Data(NOWHERE, 0, Counter())
    with pytest.raises(ValueError, match="length 0"):
        list(grouped([{"answer": "a"}], data, output="answer", descriptions="w", length=0))


def test_an_unknown_column_is_an_error_and_not_a_dropped_row():
    data = Data(NOWHERE, 0, Counter())
    with pytest.raises(KeyError, match="anser"):
        list(grouped([{"answer": "a"}], data, output="anser", descriptions="w", length=1))
    with pytest.raises(KeyError, match="topic"):
        list(
            grouped(
                [{"answer": "a"}],
                data,
                output="answer",
                descriptions="{topic}",
                length=1,
            )
        )


def test_kept_counts_what_it_leaves_out():
    dropped = Counter()
    rows = [{"n": number} for number in range(5)]
    data = Data(NOWHERE, 0, dropped)
    assert list(data.keep(rows, lambda row: row["n"] > 2, reason="small")) == rows[3:]
    assert dropped == {"small": 3}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (float("nan"), ""),
        (np.float32("nan"), ""),
        (pd.NaT, ""),
        (Decimal("NaN"), ""),
        (" \t\n", ""),
        ("NA", "NA"),
        ("  a\nb ", "a\nb"),
        ("a\0b", "ab"),
        ("a\ud800b", "ab"),
        (3, "3"),
        (3.5, "3.5"),
        (True, "true"),
        (["ä", 1], '["ä", 1]'),
    ],
)
def test_text_of_a_cell(value, expected):
    assert text(value) == expected


@given(st.text())
def test_text_is_clean_after_one_pass_and_can_be_written(value):
    assert text(text(value)) == text(value)
    assert text(value).encode().decode() == text(value)


@given(st.dictionaries(NAMES, st.none() | st.integers() | NAMES, max_size=4))
def test_as_json_holds_the_fields_that_are_there(fields):
    present = {key: value for key, value in fields.items() if value is not None}
    assert (json.loads(as_json(fields)) if present else as_json(fields)) == (present or "")


def test_time_grows_with_the_rows_not_with_people_times_rows():
    people = np.random.default_rng(0).integers(0, 20_000, size=100_000)
    rows = [{"person": str(person), "question": "q", "answer": "a"} for person in people]
    start = time.perf_counter()
    found = build_people(rows)
    assert time.perf_counter() - start < 30  # about 1 s; one filter per person would take minutes
    assert len(found) == len(np.unique(people))


def test_a_name_mixes_the_same_rows_in_another_way():
    rows = [{"answer": str(number)} for number in range(20)]

    def built(name):
        dropped = Counter()
        return list(
            grouped(rows, Data(NOWHERE, 0, dropped), name=name, output="answer", descriptions="w", length=20)
        )

    ((first, one),), ((second, other),), ((third, unnamed),) = built("one"), built("other"), built("")
    assert (first, second, third) == ("one/0", "other/0", "0")
    assert len({str(one), str(other), str(unnamed)}) == 3
    assert built("one") == [(first, one)]


POSTS = [{"title": f"title {n}", "body": f"body {n}" if n else ""} for n in range(200)]
PARTS = (
    Part("titles", "title", ("Titles.",)),
    Part("titles_again", "title", ("Titles.",)),
    Part("bodies", "body", ("Bodies.",), input="title"),
)


@pytest.mark.parametrize("most", [None, 2])
def test_each_part_has_its_own_sequences_of_all_rows_or_the_first_ones(most: int | None) -> None:
    dropped: Counter[str] = Counter()
    found = list(
        pooled_parts(POSTS, Data(NOWHERE, 0, dropped), task="posts", parts=PARTS, mean_length=16, most=most)
    )
    for part in PARTS:
        mine = [messages for name, messages in found if name.startswith(f"posts/{part.name}/")]
        outputs = [m["content"] for messages in mine for m in messages if m["role"] == "output"]
        assert len(mine) == most if most else len(outputs) == 200 - (part.name == "bodies")
        assert len(set(outputs)) == len(outputs)
        assert any(m["role"] == "input" for m in mine[0]) == (part.input is not None)
    assert sum(dropped.values()) == 1


def test_parts_of_the_same_rows_mix_them_differently() -> None:
    found = list(
        pooled_parts(POSTS, Data(NOWHERE, 0, Counter()), task="posts", parts=PARTS[:2], mean_length=16)
    )
    orders = [
        [m["content"] for name, messages in found if f"/{part.name}/" in name for m in messages]
        for part in PARTS[:2]
    ]
    assert orders[0] != orders[1] and sorted(set(orders[0])) == sorted(set(orders[1]))
