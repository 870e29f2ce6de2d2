"""A prompt with many valid answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spectrum_trl.evaluation.required_data import NeedsData

Valid = Callable[[str], bool]
PROMPTS = yaml.safe_load(Path(__file__).with_name("prompts.yaml").read_text("utf-8"))


@dataclass(frozen=True, kw_only=True)
class DiversityTask(NeedsData):
    """One kind of text to generate.

    Attributes:
        description: Description of the texts to generate.
        examples: Samples shown in the prompt, all valid.
        max_new_tokens: Maximum length of an answer in tokens.
        canonical: Maps equivalent answers to one form, for example without surrounding white space.
        universe: All valid answers in canonical form, or None if they are infinitely many or unknown.
        rule: Checks an answer in canonical form; None if a list decides.
        read: Reads the list of valid answers from the folder of the real data; None for the universe.
    """

    description: str
    examples: tuple[str, ...]
    max_new_tokens: int
    canonical: Callable[[str], str] = str.strip
    universe: tuple[str, ...] | None = None
    rule: Valid | None = None
    read: Callable[[Path], frozenset[str]] | None = None

    def validator(self, data_dir: Path) -> Valid:
        """Return the check of an answer in canonical form, given the folder of the real data."""
        if self.rule:
            return self.rule
        return frozenset(self.read(data_dir) if self.read else self.universe or ()).__contains__


def prompted(name: str, **answers: Any) -> DiversityTask:
    """Return the task of a row of ``prompts.yaml``, given what is valid: attributes of `DiversityTask`."""
    row = PROMPTS[name]
    return DiversityTask(name=name, **row | {"examples": tuple(row["examples"])}, **answers)
