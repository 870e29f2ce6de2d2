"""Numbers in plain decimal digits: no sign, no leading zero, no digits of other scripts.

Two things differ from the published tasks: the prompt for seeds states their range, and answers may be as
long as the largest numbers (four tokens truncated seeds, and the rest counted as valid).
"""

import re

from sympy import isprime

from spectrum_trl.evaluation.axis_tasks import prompted
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


TO_10, TO_100 = (tuple(map(str, range(1, largest + 1))) for largest in (10, 100))
SYMPY = Source(name="sympy", title="the package sympy", licence="BSD-3-Clause")
TASKS = (
    prompted("rng_1_10", universe=TO_10, source=KIT),
    prompted("rng_1_100", universe=TO_100, source=KIT),
    prompted("random_seed", rule=_is_seed, source=KIT),
    prompted("prime_numbers", rule=is_prime, source=SYMPY),
    prompted("small_prime_numbers", universe=tuple(filter(is_prime, TO_100)), source=SYMPY),
)
