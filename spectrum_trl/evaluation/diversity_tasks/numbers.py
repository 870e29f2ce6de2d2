"""Numbers in plain decimal digits: no sign, no leading zero, no digits of other scripts.

Two things differ from the published tasks: the prompt for seeds states their range, and answers may be as
long as the largest numbers (four tokens truncated seeds, and the rest counted as valid).
"""

import re
from collections.abc import Callable
from pathlib import Path

from sympy import isprime

from spectrum_trl.evaluation.diversity_tasks.diversity_task import DiversityTask, Valid
from spectrum_trl.suite.source import KIT, Source

SEEDS = 2**32
# Longest number tested; longer answers are never valid.
MOST_DIGITS = 100
_WHOLE = re.compile(r"0|[1-9][0-9]*", re.ASCII)


def whole(text: str) -> int | None:
    """Return the number that a text of plain digits represents, or None."""
    return int(text) if len(text) <= MOST_DIGITS and _WHOLE.fullmatch(text) else None


def is_prime(text: str) -> bool:
    """Return whether a text is a prime number; exact below 2^64, with no known exception above."""
    number = whole(text)
    return number is not None and bool(isprime(number))


def _is_seed(text: str) -> bool:
    number = whole(text)
    return number is not None and number < SEEDS


def _one_of(texts: tuple[str, ...]) -> Callable[[Path], Valid]:
    return lambda data_dir: frozenset(texts).__contains__


TO_10, TO_100 = (tuple(map(str, range(1, largest + 1))) for largest in (10, 100))
SMALL_PRIMES = tuple(text for text in TO_100 if is_prime(text))

SYMPY = Source(name="sympy", title="the package sympy", licence="BSD-3-Clause")
TASKS = (
    DiversityTask(
        name="rng_1_10",
        description="A whole number between 1 and 10, each equally likely",
        examples=("4", "10", "7"),
        validator=_one_of(TO_10),
        universe=TO_10,
        max_new_tokens=5,
        source=KIT,
    ),
    DiversityTask(
        name="rng_1_100",
        description="A whole number between 1 and 100, each equally likely",
        examples=("73", "8", "41"),
        validator=_one_of(TO_100),
        universe=TO_100,
        max_new_tokens=5,
        source=KIT,
    ),
    DiversityTask(
        name="random_seed",
        description=f"A seed for a random number generator: a whole number from 0 to {SEEDS - 1}",
        examples=("90210", "3141592653", "17"),
        validator=lambda data_dir: _is_seed,
        universe=None,
        max_new_tokens=12,
        source=KIT,
    ),
    DiversityTask(
        name="prime_numbers",
        description="A prime number of any size",
        examples=("61", "1009", "13"),
        validator=lambda data_dir: is_prime,
        universe=None,
        max_new_tokens=16,
        source=SYMPY,
    ),
    DiversityTask(
        name="small_prime_numbers",
        description="A prime number below 100",
        examples=("43", "5", "89"),
        validator=_one_of(SMALL_PRIMES),
        universe=SMALL_PRIMES,
        max_new_tokens=5,
        source=SYMPY,
    ),
)
