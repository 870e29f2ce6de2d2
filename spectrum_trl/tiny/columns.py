"""The models that the demo compares, each in the format that suits it, and their names in its table.

The design is the paper's: a pretrained model, its instruct sibling, and the Spectrum-tuned pretrained model.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spectrum_trl.prompts.formats import Format
from spectrum_trl.prompts.scored import PlainTemplate
from spectrum_trl.tiny.scores import InContext, Sampling, TinyResult


class Column(NamedTuple):
    """One model of the comparison.

    Attributes:
        title: Heading in the table.
        fmt: Format of the prompts.
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
# In the order of the table; the keys name the files in a run's folder.
COLUMNS = {
    PRETRAINED: Column("pretrained", "colon"),
    BEST: Column("pretrained, best of 3 prompts", "colon"),
    INSTRUCT: Column("instruct", "chat_simple"),
    ALL_TOKENS: Column("all-token tuning", "spectrum"),
    TUNED: Column("Spectrum-tuned", "spectrum"),
}
# Prompts for the pretrained model: the wording of a description and its plain-text template. The last is a
# layout that the model was pretrained on, which suits it best.
WORDINGS: tuple[tuple[str, PlainTemplate], ...] = (
    ("{}", "colon"),
    ("{} The draws, one per line.", "colon"),
    ("{}", "layouts/record"),
)


def best_of(results: Sequence[TinyResult]) -> TinyResult:
    """Return the best measurements of one model over several prompts, chosen separately for each kind.

    They are chosen on the evaluation items, which favours this model over those it is compared with.
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
