"""How an answer of a user's own task is checked."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from spectrum_trl.evaluation.generation.task import Valid


class Validator(BaseModel):
    """One way to tell valid answers.

    Attributes:
        list: The valid answers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    list: list[str]

    def universe(self, *, folder: Path) -> tuple[str, ...] | None:
        """Return all valid answers, where they are listed."""
        return tuple(self.list)


def build(validator: Validator, *, folder: Path) -> Valid:
    """Return the test that a validator describes; relative paths are in ``folder``."""
    return frozenset(validator.list).__contains__
