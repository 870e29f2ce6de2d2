"""Each mistake in a user's value is one problem, with its path."""

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from spectrum_trl.strict.schema import problems_of, shown


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    low: float


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    texts: list[str] | dict[str, str] = []
    inner: Inner | None = None
    n: int = 1
    kind: Literal["small", "large"] = "small"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"n": "x"}, ['n: expected a valid integer, but it is "x"']),
        ({"texts": ["a", 1]}, ["texts.1: expected a text, but it is 1; put it in quotation marks"]),
        ({"texts": {"a": 1}}, ["texts.a: expected a text, but it is 1; put it in quotation marks"]),
        ({"texts": 3}, ["texts: expected a valid list or a valid mapping, but it is 3"]),
        ({"texts": [True]}, ["texts.0: expected a text, but it is true; put it in quotation marks"]),
        ({"n": None}, ["n: expected a valid integer, but it is null"]),
        ({"n": {"a": [None, False]}}, ['n: expected a valid integer, but it is {"a": [null, false]}']),
        ({"kind": "smal"}, ['kind: expected "small" or "large", but it is "smal". Did you mean \'small\'?']),
        ({"inner": {}}, ["inner.low: this key is missing"]),
        (
            {"inner": {"low": 1, "lwo": 1}},
            ["inner.lwo: unknown key 'lwo'. Did you mean 'low'?"],
        ),
        ({"m": 1, "n": []}, ["n: expected a valid integer, but it is []", "m: unknown key 'm'."]),
    ],
)
def test_one_problem_a_mistake(value: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate(value)
    found = [problem.at() for problem in problems_of(raised.value, value, kind=Outer)]
    assert len(found) == len(said) and all(a.startswith(b) for a, b in zip(found, said, strict=True))


@pytest.mark.parametrize("value", ['say "a"', "it's", "ü", "a\nb", "\x9b\u202e", 1.5, None, [], {"a": {}}])
def test_values_are_shown_as_json(value: object) -> None:
    text = shown(value)
    assert json.loads(text) == value and text.isprintable()


def test_long_values_are_shown_in_short() -> None:
    assert shown("a" * 1000 + "b") == f'"{"a" * 30}…{"a" * 29}b"'
    assert len(shown([{"a": "b" * 1000}] * 1000)) < 600
