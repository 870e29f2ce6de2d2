"""Numbers, as plain decimal digits: no sign, no leading zero, no digits of other scripts.

Two prompts differ from the published ones: the seed's states its range, and answers may be as long as the
largest numbers (four tokens cut seeds short, and what was left counted as valid).
"""

import re
from collections.abc import Callable
from pathlib import Path

from sympy import isprime

from spectrum_trl.evaluation.generation.task import GenerationTask, Valid

SEEDS = 2**32
# The longest number tested; what is longer is no answer of a model.
MOST_DIGITS = 100
_WHOLE = re.compile(r"0|[1-9][0-9]*", re.ASCII)


def whole(text: str) -> int | None:
    """Return the number that a text of plain digits says, or None."""
    return int(text) if len(text) <= MOST_DIGITS and _WHOLE.fullmatch(text) else None


def is_prime(text: str) -> bool:
    """Return whether a text is a prime number; exact below 2^64, and no exception is known above."""
    number = whole(text)
    return number is not None and bool(isprime(number))


def _is_seed(text: str) -> bool:
    number = whole(text)
    return number is not None and number < SEEDS


def _one_of(texts: tuple[str, ...]) -> Callable[[Path], Valid]:
    return lambda data_dir: frozenset(texts).__contains__


TO_10, TO_100 = (tuple(map(str, range(1, largest + 1))) for largest in (10, 100))
SMALL_PRIMES = tuple(text for text in TO_100 if is_prime(text))

TASKS = (
    GenerationTask(
        name="rng_1_10",
        description="A whole number between 1 and 10, each equally likely",
        examples=("4", "10", "7"),
        validator=_one_of(TO_10),
        universe=TO_10,
        max_new_tokens=5,
        source="synthetic",
        licence="none needed",
    ),
    GenerationTask(
        name="rng_1_100",
        description="A whole number between 1 and 100, each equally likely",
        examples=("73", "8", "41"),
        validator=_one_of(TO_100),
        universe=TO_100,
        max_new_tokens=5,
        source="synthetic",
        licence="none needed",
    ),
    GenerationTask(
        name="random_seed",
        description=f"A seed for a random number generator: a whole number from 0 to {SEEDS - 1}",
        examples=("90210", "3141592653", "17"),
        validator=lambda data_dir: _is_seed,
        universe=None,
        max_new_tokens=12,
        source="synthetic",
        licence="none needed",
    ),
    GenerationTask(
        name="prime_numbers",
        description="A prime number of any size",
        examples=("61", "1009", "13"),
        validator=lambda data_dir: is_prime,
        universe=None,
        max_new_tokens=16,
        source="the package sympy",
        licence="BSD-3-Clause",
    ),
    GenerationTask(
        name="small_prime_numbers",
        description="A prime number below 100",
        examples=("43", "5", "89"),
        validator=_one_of(SMALL_PRIMES),
        universe=SMALL_PRIMES,
        max_new_tokens=5,
        source="the package sympy",
        licence="BSD-3-Clause",
    ),
)
