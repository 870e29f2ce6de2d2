"""The headline metric of each axis, the metrics beside it, and those that low coverage makes meaningless."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from spectrum_trl.evaluation.results import ANSWERS_TRAINED_ON, LOW_COVERAGE
from spectrum_trl.evaluation.splits import answers_note

SIMBENCH = "simbench_score"
# For lm-eval's own tasks: the standard error of a metric, and the number of rows.
STDERR, ROWS = "_stderr", "rows"
# Metrics of shares among the candidates, or among a task's labels.
OF_SHARES = (
    *("js_divergence", "kl_divergence", "reverse_kl", "cross_entropy", "total_variation", "mode_match"),
    *("loss_restricted", "accuracy_restricted", "ordinal_distance", "excess_total_variation", SIMBENCH),
)
# Baselines of losses of a task with few labels.
LABEL_LOSSES = ("counting_loss", "marginal_loss", "marginal_counting_loss", "uniform_loss")


class Headline(NamedTuple):
    """A headline metric of one axis.

    Attributes:
        metric: Its name.
        counted_by: The figure that counts its sequences, items or samples.
        beside: Metrics shown with it.
    """

    metric: str
    counted_by: str
    beside: tuple[str, ...]


HEADLINES = (
    Headline(
        "loss",
        "sequences",
        (*LABEL_LOSSES, "unigram_loss", "regret", "accuracy", "majority_accuracy")
        + ("calibration_error", "calibration_error_by_chance"),
    ),
    Headline(
        "loss_restricted",
        "sequences",
        (*LABEL_LOSSES, "accuracy_restricted", "majority_accuracy", "coverage"),
    ),
    Headline(
        "js_divergence",
        "items",
        ("uniform_js_divergence", "marginal_js_divergence", "floor_js_divergence", SIMBENCH)
        + ("excess_total_variation", "ordinal_distance", "coverage", "mode_match", "parsed"),
    ),
    Headline("log_loss", "items", ("uniform_log_loss", "marginal_log_loss", "coverage")),
    Headline("yield_count", "samples", ("exact_yield", "share_valid", "share_unique", "parsed")),
)
# Validity with diversity, and coverage with shares: one alone does not show which of the two changed.
COMPARED = (*(one.metric for one in HEADLINES), "coverage", "share_valid")


def is_of_shares(metric: str) -> bool:
    """Return whether a metric is meaningless if coverage is low."""
    return metric.partition("[")[0] in OF_SHARES


def has_low_coverage(metric: str, figures: Mapping[str, Any]) -> bool:
    """Return whether a metric is meaningless because coverage is low."""
    return is_of_shares(metric) and bool(figures.get(LOW_COVERAGE))


def headlines(results: dict[str, Any]) -> Iterator[tuple[str, Headline, dict[str, Any]]]:
    """Yield task, headline and all figures of each task that has them.

    Where answers of a task were trained on, `ANSWERS_TRAINED_ON` is among the figures.
    """
    for name, figures in results.get("results", {}).items():
        # lm-eval appends the filter to a metric's name after a comma; `none` is dropped.
        plain = {key.removesuffix(",none"): value for key, value in figures.items() if "," in key}
        if said := answers_note(results.get(ANSWERS_TRAINED_ON, {}).get(name, ())):
            plain[ANSWERS_TRAINED_ON] = said
        found = [headline for headline in HEADLINES if headline.metric in plain]
        if not found and (others := [key for key in plain if not key.partition(",")[0].endswith(STDERR)]):
            # One of lm-eval's own tasks: its first metric is the headline.
            plain[ROWS] = results.get("n-samples", {}).get(name, {}).get("effective")
            found = [Headline(others[0], ROWS, tuple(others[1:]))]
        for headline in found:
            yield name, headline, plain
