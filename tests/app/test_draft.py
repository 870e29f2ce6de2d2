"""A link holds exactly what was entered, and what it holds is checked."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given

from spectrum_trl.app.draft import (
    LONGEST_LINK,
    Draft,
    answers_of,
    draft_of,
    examples_of,
    link,
    read_link,
    table_of,
)
from spectrum_trl.errors import UserError
from tests.app.drafts import DRAFTS
from tests.messages import naming


def query(address: str) -> dict[str, str]:
    """Return the parameters of an address as a server reads them."""
    return {name: values[0] for name, values in parse_qs(address.removeprefix("?")).items()}


@given(draft=DRAFTS)
def test_a_link_holds_exactly_what_was_entered(draft: Draft) -> None:
    address = link(draft)
    assert address is not None and address.isascii() and not set(address) & set("<>\"' ")
    assert read_link(query(address)) == draft


@given(draft=DRAFTS)
def test_the_fields_of_the_page_hold_exactly_a_draft(draft: Draft) -> None:
    assert examples_of(table_of(draft)) == draft.examples
    assert answers_of("\n".join(draft.answers)) == draft.answers


def test_what_is_too_long_for_a_link_has_none() -> None:
    assert link(Draft(description="x" * LONGEST_LINK)) is None


def test_an_address_without_our_parameter_holds_nothing() -> None:
    assert read_link({"__theme": "dark"}) is None


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ("{", "this link is damaged: not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"seed": 1, "seed": 2}', "the key 'seed' is repeated"),
        ('{"anwsers": ["a"]}', "anwsers: unknown key 'anwsers'. Did you mean 'answers'?"),
        ('{"description": 1}', "description: expected a text, but it is 1"),
        ('{"description": "\\ud800"}', "description: expected a valid text"),
        ('{"answers": ["a\\nb"]}', "answers.1: expected a text of one line that is not blank"),
        ('{"examples": [["a"]]}', "examples.1"),
        ('{"examples": [""]}', "examples.1"),
        ('{"samples": 1000000}', "samples: expected a number less than or equal to 128, but it is 1000000"),
        ('{"samples": true}', "samples: expected a valid integer, but it is true"),
        ('{"seed": -1}', "seed: expected a number greater than or equal to 0, but it is -1"),
        (json.dumps({"input": "x" * 20_001}), "input: expected at most 20000 characters"),
        (json.dumps({"answers": [f"{n}{'x' * 9999}" for n in range(10)] + ["a"]}), "at most 100,000 are"),
        (
            json.dumps({"examples": ["x" * 20_000, ["x" * 20_000] * 2] * 2}),
            "together have 120,000 characters",
        ),
        (json.dumps({"answers": ["a"] * 101}), "answers: expected at most 100 items"),
    ],
)
def test_a_wrong_link_is_told(held: str, expected: str) -> None:
    with pytest.raises(UserError) as raised:
        read_link({"ask": held})
    assert expected in str(raised.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(UserError) as raised:
        draft_of({"samples": None, "seed": 0.5})
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["samples", "seed"]


def test_rows_and_lines_without_text_are_left_out() -> None:
    assert examples_of([["", "red"], ["", ""], [None, None], ["dark?", "blue"]]) == ["red", ["dark?", "blue"]]
    assert answers_of(" a b \r\n\n  \nc") == [" a b ", "c"]
    with pytest.raises(UserError, match=naming("example 2", "input", "output")):
        examples_of([["", "red"], ["dark?", ""]])
    with pytest.raises(UserError, match=naming("examples", "input", "output")):
        examples_of([["red"]])


def test_fields_of_another_kind_are_told() -> None:
    nothing: Any = None
    with pytest.raises(UserError, match=naming("answers", "text")):
        answers_of(nothing)
    with pytest.raises(UserError, match=naming("examples", "table")):
        examples_of(nothing)


def test_a_question_has_no_empty_parts() -> None:
    draft = Draft(input="light?", examples=["red", "blue"])
    assert draft.question() == {"input": "light?", "examples": ["red", "blue"]}
    assert draft.question(examples=1) == {"input": "light?", "examples": ["red"]}
    assert draft.question(examples=0) == {"input": "light?"}
