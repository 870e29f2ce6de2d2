"""The table of model families, ``chat_templates/families.yaml``."""

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
        name: Name of the row and of its template.
        about: Text of the template's comment.
        header: Text that begins a turn; ``ROLE`` stands for its role.
        turn_tokens: The control tokens that the template writes.
        end_of_turn: The control token that ends a turn.
        behind: Text between the end of a turn and the next header, part of neither.
        bos: Whether a text starts with BOS: ``always``, ``never``, or if the ``tokenizer`` adds it.
        vocabulary: Further control tokens, which distinguish these models from others with the same turns.
    """

    name: str
    about: str
    header: str
    turn_tokens: tuple[str, ...]
    end_of_turn: str
    behind: str
    bos: Literal["always", "never", "tokenizer"]
    vocabulary: tuple[str, ...] = ()

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """All known control tokens of the family; a vocabulary that lacks one belongs to another."""
        return self.turn_tokens + self.vocabulary


@cache
def families() -> dict[str, Family]:
    """Return the families by name, in the order of the file."""
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
    """Return the source of a template: a family's, ``colon``, or one of ``layouts/…``."""
    return (bundled("chat_templates") / f"{name}.jinja").read_text(encoding="utf-8")
