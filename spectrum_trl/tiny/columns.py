"""The models that a demo compares, each in the format that suits it, and how its table names them.

The design is the paper's: a pretrained model, its instruct sibling, and the Spectrum-tuned pretrained model.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import PlainTemplate
from spectrum_trl.tiny.result import InContext, Sampling, TinyResult


class Column(NamedTuple):
    """One model.

    Attributes:
        title: In the table.
        fmt: Format of its prompts.
    """

    title: str
    fmt: Format


PRETRAINED, BEST, INSTRUCT, ALL_TOKENS, TUNED = (
    "pretrained",
    "best_wording",
    "instruct",
    "all_tokens",
    "tuned",
)
# In the order of the table; the name is that of the file in a run's folder.
COLUMNS = {
    PRETRAINED: Column("pretrained", "colon"),
    BEST: Column("pretrained, best of 3 prompts", "colon"),
    INSTRUCT: Column("instruct", "chat_simple"),
    ALL_TOKENS: Column("all-token tuning", "spectrum"),
    TUNED: Column("Spectrum-tuned", "spectrum"),
}
# Prompts of a pretrained model: how a description is stated, and in which plain text. The last is a layout of
# what it was pretrained on, which suits it best.
WORDINGS: tuple[tuple[str, PlainTemplate], ...] = (
    ("{}", "colon"),
    ("{} The draws, one per line.", "colon"),
    ("{}", "layouts/record"),
)


def best_of(results: Sequence[TinyResult]) -> TinyResult:
    """Return the best measurements of one model among several prompts, each kind for itself.

    They are chosen on what is evaluated, so that they flatter the model: what is compared with it is not.
    """

    def lowest(kind: str) -> InContext:
        return min((getattr(one, kind) for one in results), key=lambda part: part.excess().mean())

    def most_valid(kind: str) -> Sampling:
        return max((getattr(one, kind) for one in results), key=lambda part: np.mean(part.share_valid))

    return results[0]._replace(
        urn=min((one.urn for one in results), key=lambda urn: np.mean(urn.js_divergence())),
        coin=lowest("coin"),
        die=lowest("die"),
        number=lowest("number"),
        urns=most_valid("urns"),
        ranges=most_valid("ranges"),
    )
