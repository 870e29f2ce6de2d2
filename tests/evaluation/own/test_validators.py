"""Every kind of validator of a user's own task, and one clear message for every mistake in it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.own import validators
from spectrum_trl.evaluation.own.validators import Validator, build
from tests.messages import naming


def valid(text: str, *, folder: Path = Path(), **given: Any) -> bool:
    validator = Validator.model_validate(given)
    return build(validator, folder=folder)(validator.canonical(text))


def test_a_list_is_exact_or_ignores_case() -> None:
    assert valid(" Brie ", list=["Brie"]) and not valid("brie", list=["Brie"])
    assert valid("BRIE", list=["Brie"], ignore_case=True)
    one = Validator(list=("Brie", "brie", "Gouda"), ignore_case=True)
    assert one.universe(folder=Path()) == ("brie", "gouda")


def test_a_file_holds_one_answer_a_line(tmp_path: Path) -> None:
    (tmp_path / "cheeses.txt").write_bytes("\ufeffBrie\r\n\r\n Crème fraîche \n".encode())
    one = Validator(file="cheeses.txt")
    assert one.universe(folder=tmp_path) == ("Brie", "Crème fraîche")
    assert valid("Crème fraîche", file="cheeses.txt", folder=tmp_path)
    with pytest.raises(UserError, match=naming("cheese.txt", "'cheeses.txt'")):
        build(Validator(file="cheese.txt"), folder=tmp_path)
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(UserError, match=naming("empty.txt", "no answers")):
        build(Validator(file="empty.txt"), folder=tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"Cr\xe8me\n")
    with pytest.raises(UserError, match=naming("latin.txt", "UTF-8")):
        build(Validator(file="latin.txt"), folder=tmp_path)


def test_a_pattern_matches_the_whole_answer() -> None:
    assert valid("Brie", regex="[A-Z][a-z]+") and not valid("Brie 2", regex="[A-Z][a-z]+")
    assert valid("BRIE", regex="[a-z]+", ignore_case=True) and not valid("BRIE", regex="[a-z]+")
    assert valid("a" * 10_000, regex="a*")
    with pytest.raises(UserError, match=naming("validator.regex", "'(a'")):
        build(Validator(regex="(a"), folder=Path())


def test_a_pattern_that_takes_for_ever_is_one_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validators, "MATCH_SECONDS", 0.05)
    with pytest.raises(UserError, match=naming("'(a|a)+b'", "0.05 s", f"'{'a' * 40}'")):
        valid("a" * 60, regex="(a|a)+b")


@given(number=st.integers(-50, 50), low=st.integers(-20, 20), width=st.integers(0, 20))
def test_a_range_of_whole_numbers_is_inclusive(number: int, low: int, width: int) -> None:
    bounds = {"min": low, "max": low + width}
    assert valid(str(number), range=bounds) == (low <= number <= low + width)
    listed = Validator.model_validate({"range": bounds}).universe(folder=Path())
    assert listed == tuple(map(str, range(low, low + width + 1)))


@given(text=st.text(max_size=12))
def test_only_decimal_numbers_are_in_a_range(text: str) -> None:
    for kind in ("int", "float"):
        if valid(text, range={"min": -1e9, "max": 1e9, "kind": kind}):
            assert text.strip().isascii() and abs(float(text)) <= 1e9


def test_bounds_that_are_not_whole_and_large_ranges() -> None:
    assert Validator.model_validate({"range": {"min": 0.5, "max": 2.5}}).universe(folder=Path()) == ("1", "2")
    assert Validator.model_validate({"range": {"min": 0, "max": 1e12}}).universe(folder=Path()) is None
    assert (
        Validator.model_validate({"range": {"min": 0, "max": float("inf")}}).universe(folder=Path()) is None
    )
    fraction = {"min": 0, "max": 1, "kind": "float"}
    assert valid("0.25", range=fraction) and valid("1", range=fraction) and not valid("1.01", range=fraction)
    for text in ("nan", "inf", "1e0", "01", "+1", "-0", ".5", "1_0", "٠"):
        assert not valid(text, range={"min": 0, "max": 1})


def test_a_function_beside_the_file_or_installed(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text(
        "def is_even(text):\n    return text.isdigit() and int(text) % 2 == 0\n"
    )
    assert valid("4", function="checks:is_even", folder=tmp_path)
    assert not valid("3", function="checks:is_even", folder=tmp_path)
    assert valid("x", function="keyword:iskeyword") is False and valid("if", function="keyword:iskeyword")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("checks", "expected module:function"),
        ("checks:", "expected module:function"),
        ("../checks:f", "expected module:function"),
        ("cheks:is_even", "cannot be imported.*Did you mean 'checks'"),
        ("checks:is_evn", "no function 'is_evn'. Did you mean 'is_even'"),
        ("checks:NUMBER", "no function 'NUMBER'"),
        ("broken:f", "ZeroDivisionError"),
    ],
)
def test_a_function_that_is_not_there_is_one_clear_error(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "checks.py").write_text("NUMBER = 3\ndef is_even(text):\n    return True\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(UserError, match=said):
        build(Validator(function=name), folder=tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "give exactly one of list, file, regex, range, function, judge; found none"),
        ({"list": ["a"], "regex": "a"}, "found list and regex"),
        ({"list": []}, "at least 1 item"),
        ({"list": [True]}, "valid string"),
        ({"range": {"min": 2, "max": 1}}, "min must not exceed max"),
        ({"range": {"min": 2}}, "Field required"),
        ({"range": {"min": 1, "max": float("nan")}}, "min must not exceed max"),
        ({"regx": "a"}, "Extra inputs"),
        ({"judge": {"model": "x", "endpoint": "file:///etc"}}, "expected a URL"),
    ],
)
def test_mistakes_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Validator.model_validate(wrong)
