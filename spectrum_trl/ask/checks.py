"""Check the objects and numbers that methods are given."""

import math

from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError


def check_loaded(model: object, tokenizer: object) -> None:
    """Check that a model and its tokenizer are no names, and not missing.

    Raises:
        UserError: If either is something else.
    """
    if not hasattr(model, "config") or not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise UserError(
            "expected a loaded model and its tokenizer, but their types are "
            f"{type(model).__name__} and {type(tokenizer).__name__}; "
            "SpectrumModel.from_pretrained(NAME) loads both"
        )


def check_decoding(seed: int, temperature: float, top_p: float) -> None:
    """Check how samples are drawn.

    Raises:
        UserError: With every problem.
    """
    wrong = {
        "seed": (seed, "a whole number of at least 0", lambda v: type(v) is int and v >= 0),
        "temperature": (temperature, "a number above 0", lambda v: _is_number(v) and 0 < v < math.inf),
        "top_p": (top_p, "a number above 0, at most 1", lambda v: _is_number(v) and 0 < v <= 1),
    }
    problems = [
        f"{name}: expected {expected}, but it is {value!r}"
        for name, (value, expected, holds) in wrong.items()
        if not holds(value)
    ]
    if problems:
        raise UserError(*problems)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_numbers(**numbers: int) -> None:
    """Check that numbers are whole and at least 1.

    Raises:
        UserError: With every problem.
    """
    problems = [
        f"{name}: expected a whole number of at least 1, but it is {value!r}"
        for name, value in numbers.items()
        if isinstance(value, bool) or not isinstance(value, int) or value < 1
    ]
    if problems:
        raise UserError(*problems)
