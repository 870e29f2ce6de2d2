"""Answers of a model: samples, tokens, probabilities, distributions, scores."""

import logging
import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from spectrum_trl.evaluation.results import LOWEST_COVERAGE

logger = logging.getLogger(__name__)


class Sample(NamedTuple):
    """A sampled output.

    Attributes:
        text: The output.
        log_probability: Of its tokens, the end of its turn included, in nats.
        ended: Whether it ended its turn; otherwise it was cut at the maximum number of tokens.
    """

    text: str
    log_probability: float
    ended: bool


class Token(NamedTuple):
    """A possible first token of the next output.

    Attributes:
        text: As the tokenizer decodes it.
        id: Its id.
        probability: In [0, 1].
    """

    text: str
    id: int
    probability: float


class Probabilities(NamedTuple):
    """Probabilities of given answers.

    Attributes:
        answers: The answers asked for.
        log_probabilities: Of each whole answer with the end of its turn, in nats.
    """

    answers: tuple[str, ...]
    log_probabilities: tuple[float, ...]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Probability of each answer, in [0, 1]; their sum is the coverage."""
        return tuple(map(math.exp, self.log_probabilities))

    @property
    def normalised(self) -> tuple[float, ...]:
        """Probability of each answer given that it is one of these; they sum to 1."""
        largest = max(self.log_probabilities)
        shares = [math.exp(one - largest) for one in self.log_probabilities]
        return tuple(share / math.fsum(shares) for share in shares)

    @property
    def coverage(self) -> float:
        """Probability that the model gives one of the answers, in [0, 1]."""
        # More than 1 only through rounding.
        return min(1.0, math.fsum(self.probabilities))

    @property
    def low_coverage(self) -> bool:
        """Whether the coverage is so low that the normalised probabilities say little."""
        return self.coverage < LOWEST_COVERAGE

    def rows(self) -> list[dict[str, Any]]:
        """Return one row an answer, for a table."""
        return [
            {"answer": answer, "probability": p, "normalised": share, "coverage": self.coverage}
            for answer, p, share in zip(self.answers, self.probabilities, self.normalised, strict=True)
        ]


class Distribution(NamedTuple):
    """The likeliest answers, found without a list of candidates.

    Attributes:
        answers: Texts, the likeliest first.
        probabilities: Of each, summed over all the tokenizations found, in [0, 1].
        mass: Their sum: what is missing to 1 was not searched.
        exhausted: Whether no more answers reach the minimum probability, so that only the limits of the
            search end the list.
    """

    answers: tuple[str, ...]
    probabilities: tuple[float, ...]
    mass: float
    exhausted: bool

    def rows(self) -> list[dict[str, Any]]:
        """Return one row an answer, for a table; without any answer, one row without its text."""
        found = {"mass": self.mass, "exhausted": self.exhausted}
        answers = zip(self.answers or (None,), self.probabilities or (math.nan,), strict=True)
        return [{"answer": answer, "probability": p} | found for answer, p in answers]


class Score(NamedTuple):
    """An output's score given those before it.

    Attributes:
        output: Its text.
        log_probability: With the end of its turn, in nats.
    """

    output: str
    log_probability: float


def answered(found: Sequence[Any], questions: Sequence[Any] | None, *, columns: Sequence[str]) -> Any:
    """Return the answer to one question as it is, and those to several as a DataFrame.

    Args:
        found: The answers.
        questions: The questions, or None for a single one.
        columns: Of a DataFrame without rows.
    """
    if questions is None:
        return found[0]
    rows = [
        {"question": number, **row}
        for number, one in enumerate(found)
        for row in (one.rows() if hasattr(one, "rows") else [part._asdict() for part in one])
    ]
    import pandas as pd

    return pd.DataFrame(rows, columns=None if rows else ["question", *columns])


def warn_of_low_coverage(found: Collection[float]) -> None:
    """Log how many coverages are low, and the lowest one."""
    if low := [coverage for coverage in found if coverage < LOWEST_COVERAGE]:
        logger.warning(
            "low coverage for %d of %d questions (down to %.2g, under %s): the model rarely gives any of "
            "these answers, so their normalised probabilities say little",
            *(len(low), len(found), min(low), LOWEST_COVERAGE),
        )
