"""A prompt with many right answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spectrum_trl.evaluation.needs_data import NeedsData

Valid = Callable[[str], bool]


@dataclass(frozen=True, kw_only=True)
class DiversityTask(NeedsData):
    """One kind of text to generate.

    Attributes:
        description: What is to be generated.
        examples: Samples that a prompt shows, each of them valid.
        validator: Folder of the real data to the test of an answer in its canonical form.
        universe: All canonical answers, where there are finitely many and they are known, or None.
        max_new_tokens: Longest answer.
        canonical: An answer to the form in which equal ones are equal, for example without white space.
    """

    description: str
    examples: tuple[str, ...]
    validator: Callable[[Path], Valid]
    universe: tuple[str, ...] | None
    max_new_tokens: int
    canonical: Callable[[str], str] = str.strip
