"""A prompt with many valid answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spectrum_trl.evaluation.required_data import NeedsData

Valid = Callable[[str], bool]


@dataclass(frozen=True, kw_only=True)
class DiversityTask(NeedsData):
    """One kind of text to generate.

    Attributes:
        description: Description of the texts to generate.
        examples: Samples shown in the prompt, all valid.
        validator: Takes the folder of the real data, and returns the check of an answer in canonical form.
        universe: All valid answers in canonical form, or None if they are infinitely many or unknown.
        max_new_tokens: Maximum length of an answer in tokens.
        canonical: Maps equivalent answers to one form, for example without surrounding white space.
    """

    description: str
    examples: tuple[str, ...]
    validator: Callable[[Path], Valid]
    universe: tuple[str, ...] | None
    max_new_tokens: int
    canonical: Callable[[str], str] = str.strip
