"""The one figure of each axis that is looked at first, and what is shown and compared beside it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

# Below it, shares among the candidates are of next to nothing: no result.
LOWEST_COVERAGE = 0.05
LOW_COVERAGE = "low_coverage"
# Figures of shares among the candidates.
OF_SHARES = (
    *("js_divergence", "kl_divergence", "reverse_kl", "cross_entropy", "total_variation", "mode_match"),
)


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
    Headline("log_loss", "items", ("uniform_log_loss", "coverage")),
    Headline("yield_count", "samples", ("exact_yield", "share_valid", "share_unique", "parsed")),
)
# Validity beside diversity, and coverage beside shares: one alone does not tell which of them changed.
COMPARED = (*(one.metric for one in HEADLINES), "coverage", "share_valid")


def is_of_shares(metric: str) -> bool:
    """Tell whether a metric means nothing where coverage is low."""
    return metric.partition("[")[0] in OF_SHARES


def headlines(results: dict[str, Any]) -> Iterator[tuple[str, Headline, dict[str, Any]]]:
    """Yield task, headline and all figures of each task that has them."""
    for name, figures in results.get("results", {}).items():
        plain = {key.partition(",")[0]: value for key, value in figures.items() if "," in key}
        for headline in HEADLINES:
            if headline.metric in plain:
                yield name, headline, plain
