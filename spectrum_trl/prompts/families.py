"""The table of model families beside their templates: ``chat_templates/families.yaml``."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml

from spectrum_trl.paths import bundled

Layout = Literal["spectrum", "text", "chat"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the models of one family write turns.

    Attributes:
        name: Of the row, and of its template.
        turn_tokens: The control tokens that the template writes.
        end_of_turn: The one of them that ends a turn.
        bos: Whether a text starts with BOS: ``always``, ``never``, or where the ``tokenizer`` adds it.
        vocabulary: Further control tokens of these models, which tell them from others with the same turns.
    """

    name: str
    turn_tokens: tuple[str, ...]
    end_of_turn: str
    bos: Literal["always", "never", "tokenizer"]
    vocabulary: tuple[str, ...] = ()

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """All control tokens that are known of the family; a vocabulary that lacks one is not of it."""
        return self.turn_tokens + self.vocabulary


@cache
def families() -> dict[str, Family]:
    """Return the table by name, in the order of the file."""
    rows = yaml.safe_load((bundled("chat_templates") / "families.yaml").read_text(encoding="utf-8"))
    return {
        name: Family(
            name=name,
            turn_tokens=tuple(row.pop("turn_tokens")),
            vocabulary=tuple(row.pop("vocabulary", ())),
            **row,
        )
        for name, row in rows.items()
    }


@cache
def template_source(name: str) -> str:
    """Return the text of a template: a family's, ``colon``, or one of ``layouts/…``."""
    return (bundled("chat_templates") / f"{name}.jinja").read_text(encoding="utf-8")
