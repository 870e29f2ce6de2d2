"""The one figure of each axis that is looked at first, and what is shown and compared beside it."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Headline(NamedTuple):
    """Of one axis.

    Attributes:
        metric: Its name.
        counted_by: The figure that counts what it runs over.
        beside: Metrics that are shown with it.
    """

    metric: str
    counted_by: str
    beside: tuple[str, ...]


HEADLINES = (
    Headline("loss", "sequences", ("regret", "accuracy")),
    Headline("js_divergence", "items", ("uniform_js_divergence", "coverage", "mode_match", "parsed")),
    Headline("yield_count", "samples", ("exact_yield", "share_valid", "share_unique", "parsed")),
)
# Validity beside diversity: a yield alone does not tell which of them changed.
COMPARED = (*(one.metric for one in HEADLINES), "share_valid")


def headlines(results: dict[str, Any]) -> Iterator[tuple[str, Headline, dict[str, Any]]]:
    """Yield task, headline and all figures of each task that has them."""
    for name, figures in results.get("results", {}).items():
        plain = {key.partition(",")[0]: value for key, value in figures.items() if "," in key}
        for headline in HEADLINES:
            if headline.metric in plain:
                yield name, headline, plain
