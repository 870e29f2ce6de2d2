"""The table of model families, ``chat_templates/families.yaml``."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.strict.schema import parsed
from spectrum_trl.strict.yaml import read_mapping

Layout = Literal["spectrum", "text", "chat"]


class Family(BaseModel, frozen=True, extra="forbid"):
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
    return read_families(bundled("chat_templates") / "families.yaml")


def read_families(file: Path) -> dict[str, Family]:
    """Read a table of families.

    Raises:
        UserError: If a row has a mistake, or vocabularies cannot distinguish two families, of which the
            second would never be chosen.
    """
    found: dict[str, Family] = {}
    for name, row in read_mapping(file).items():
        given = row | {"name": name} if isinstance(row, dict) else row
        family = parsed(Family, given, name, before=f"{file}: ")
        for other in found.values():
            same = set(family.control_tokens) == set(other.control_tokens)
            if same and family.end_of_turn == other.end_of_turn:
                raise UserError(
                    f"{file}: {name} has the tokens of {other.name}, so it would never be chosen; add to "
                    "`vocabulary` a control token that only its models have"
                )
        found[name] = family
    return found


@cache
def template_source(name: str) -> str:
    """Return the source of a template: a family's, ``colon``, or one of ``layouts/…``."""
    return (bundled("chat_templates") / f"{name}.jinja").read_text(encoding="utf-8")
