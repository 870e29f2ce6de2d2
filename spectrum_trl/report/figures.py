"""The figures of a report: each task's headlines with baselines and skill, and means over tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectrum_trl.evaluation.headlines import Headline, has_low_coverage, headlines, is_of_shares
from spectrum_trl.evaluation.results import ANSWERS_TRAINED_ON, LOWEST_COVERAGE, Value
from spectrum_trl.evaluation.splits import SPLITS, splits_of
from spectrum_trl.evaluation.summary import interval_text
from spectrum_trl.metrics.intervals import Interval, mean_interval, ratio_values, stratified_interval
from spectrum_trl.report.reading import Evaluation

AXES = {
    "loss": "Steerability",
    "loss_restricted": "Steerability",
    "js_divergence": "Distributional alignment",
    "log_loss": "Distributional alignment",
    "yield_count": "Diversity",
}
OTHER = "Other tasks"
# Metrics whose means over tasks are shown after a headline's; skill is computed here.
SKILL = "skill"
BESIDE = {
    "loss": ("regret", "accuracy"),
    "js_divergence": (SKILL,),
    "log_loss": (SKILL, "coverage"),
    "yield_count": (SKILL, "share_valid", "share_unique"),
}
# What each headline is measured against: of several, the best. They stand in a column of their own.
UNIFORM, MARGINAL, EXACT = "uniform guess", "marginal", "exact sampler"
_LABELS = {
    "counting": "counting_loss",
    MARGINAL: "marginal_loss",
    "counting from marginal": "marginal_counting_loss",
    UNIFORM: "uniform_loss",
}
BASELINES = {
    "loss": {**_LABELS, "unigram": "unigram_loss"},
    "loss_restricted": _LABELS,
    "js_divergence": {UNIFORM: "uniform_js_divergence", MARGINAL: "marginal_js_divergence"},
    "log_loss": {UNIFORM: "uniform_log_loss", MARGINAL: "marginal_log_loss"},
    "yield_count": {EXACT: "exact_yield"},
}
_OF_BASELINES = {key for names in BASELINES.values() for key in names.values()}
# A baseline as close to the best possible value as this leaves nothing to gain.
CLOSE = 1e-9
# Share of the samples from which on the skill of a yield is given.
FEWEST_VALID = 0.5


class Group(NamedTuple):
    """Tasks that are shown together.

    Attributes:
        axis: What they measure.
        split: Whether they were trained on: one of ``SPLITS``.
    """

    axis: str
    split: str

    @property
    def title(self) -> str:
        """The heading."""
        return self.axis if self.axis == OTHER else f"{self.axis}, {self.split}"


class Row(NamedTuple):
    """One headline of one task and model.

    Attributes:
        group: Where it is shown.
        task: Its name.
        metric: Its name.
        model: The model's name.
        n: Number of sequences, items or samples.
        value: The headline; NaN if it is not finite.
        low: The lower end of its 95% interval; NaN if it has none.
        high: The upper end.
        spread: The interval, or what is known in its place, as text.
        baselines: What it is measured against, by name, the best first.
        skill: The share of the way from the baseline to the best possible value, 1 at most; of a yield, its
            ratio to an exact sampler's; NaN if it is not known or coverage is low.
        low_coverage: Whether coverage is too low for the value to mean anything.
        low_rows: Number of rows of low coverage among those whose shares the value averages.
        beside: Further metrics with their values.
        answers: Which training tasks of the model list the task's answers, in words; empty if none does.
    """

    group: Group
    task: str
    metric: str
    model: str
    n: int
    value: float
    low: float
    high: float
    spread: str
    baselines: dict[str, float]
    skill: float
    low_coverage: bool
    low_rows: int
    beside: dict[str, float]
    answers: str = ""

    @property
    def baseline(self) -> str:
        """The best baseline; empty if none is known."""
        return next(iter(self.baselines), "")

    @property
    def reference(self) -> float:
        """The best baseline's value; NaN if none is known."""
        return next(iter(self.baselines.values()), math.nan)


class Mean(NamedTuple):
    """One metric over the tasks of a group that all models have.

    Attributes:
        group: The tasks.
        metric: Its name.
        tasks: Their number.
        values: One mean with its interval for each model, in their order; None where a task's value is not
            finite.
    """

    group: Group
    metric: str
    tasks: int
    values: list[Interval | None]


def number_of(figures: Mapping[str, Any], name: str) -> float:
    """Return a figure, NaN if it is missing or no finite number."""
    value = figures.get(name)
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known and value is not None else math.nan


def rows_of(evaluations: Sequence[Evaluation]) -> list[Row]:
    """Return every headline, by group, task and metric; models in their order."""
    split = splits_of(one.paired for one in evaluations)
    found = [
        _row(one, task, headline, figures, split=split(task))
        for one in evaluations
        for task, headline, figures in headlines(one.headlines_of())
    ]
    axes = [*dict.fromkeys(AXES.values()), OTHER]
    order = [*AXES]
    models = [one.name for one in evaluations]
    return sorted(
        found,
        key=lambda row: (
            axes.index(row.group.axis),
            SPLITS.index(row.group.split),
            row.task,
            order.index(row.metric) if row.metric in order else len(order),
            row.metric,
            models.index(row.model),
        ),
    )


def _row(one: Evaluation, task: str, headline: Headline, figures: dict[str, Any], *, split: str) -> Row:
    metric = headline.metric
    low_coverage = has_low_coverage(metric, figures)
    value = number_of(figures, metric)
    baselines = baselines_of(metric, figures)
    skill = skill_of(metric, value, baselines, figures)
    rows = one.paired.rows.get(task, {})
    values, coverages = rows.get(metric, {}), rows.get("coverage", {}) if is_of_shares(metric) else {}
    count = number_of(figures, headline.counted_by)
    names = [name for name in headline.beside if name in figures and name not in _OF_BASELINES]
    beside = {name: number_of(figures, name) for name in names}
    known = {name: number for name in figures if not math.isnan(number := number_of(figures, name))}
    if metric in AXES and f"{metric}_low" not in figures and not one.paired.has_rare_long(task, metric):
        # Results of a demo run have values of rows alone.
        interval = _interval(values)
        if not math.isnan(interval.low):
            known |= {f"{metric}_low": interval.low, f"{metric}_high": interval.high}
    return Row(
        group=Group(AXES.get(metric, OTHER), split),
        task=task,
        metric=metric,
        model=one.name,
        n=len(values) if math.isnan(count) else int(count),
        value=value,
        low=number_of(known, f"{metric}_low"),
        high=number_of(known, f"{metric}_high"),
        spread=interval_text(headline, known),
        baselines=baselines,
        skill=math.nan if low_coverage else skill,
        low_coverage=low_coverage,
        low_rows=sum(value.mean < LOWEST_COVERAGE for value in coverages.values()),
        beside=beside,
        answers=str(figures.get(ANSWERS_TRAINED_ON, "")),
    )


def floor_of(metric: str, figures: Mapping[str, Any]) -> float:
    """Return what a perfect model reaches, in nats; NaN if unknown.

    For ``log_loss`` that is the mean entropy of the true shares, for ``js_divergence`` the noise of shares
    that were counted from few answers, 0 if they are exact or the number is unknown.
    """
    if metric == "js_divergence":
        floor = number_of(figures, "floor_js_divergence")
        return 0.0 if math.isnan(floor) else floor
    # It does not depend on the model, and these two are always finite.
    return number_of(figures, "uniform_cross_entropy") - number_of(figures, "uniform_kl_divergence")


def baselines_of(metric: str, figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the known baselines of a headline by name, the best first."""
    values = {name: number_of(figures, key) for name, key in BASELINES.get(metric, {}).items()}
    known = ((name, value) for name, value in values.items() if not math.isnan(value))
    return dict(sorted(known, key=lambda pair: pair[1]))


def skill_of(metric: str, value: float, baselines: Mapping[str, float], figures: Mapping[str, Any]) -> float:
    """Return the share of the way from the best baseline to the best possible value; NaN if unknown."""
    if metric in ("js_divergence", "log_loss"):
        least, best = min(baselines.values(), default=math.nan), floor_of(metric, figures)
        return (least - value) / (least - best) if least - best > CLOSE else math.nan
    if metric == "yield_count" and EXACT in baselines:
        # It draws as many as were valid: beside few of them, repeating one is perfect.
        known = baselines[EXACT] > CLOSE and number_of(figures, "share_valid") >= FEWEST_VALID
        return value / baselines[EXACT] if known else math.nan
    # Of outputs, what is best is seldom known.
    return math.nan


def means_of(rows: Sequence[Row], evaluations: Sequence[Evaluation]) -> list[Mean]:
    """Return the mean of each metric over the tasks of a group, with equal weights.

    Only tasks that every model has count, and shares only where no model's coverage is low.
    """
    cells = {(row.group, row.metric, row.task, row.model): row for row in rows}
    found = []
    for group, metric in dict.fromkeys((row.group, row.metric) for row in rows):
        names = dict.fromkeys(row.task for row in rows if (row.group, row.metric) == (group, metric))
        common = [
            task
            for task in names
            if all(
                (cell := cells.get((group, metric, task, one.name))) and not cell.low_coverage
                for one in evaluations
            )
        ]
        if not common or group.axis == OTHER:
            continue
        for name in (metric, *BESIDE.get(metric, ())):
            values = [
                _mean([cells[group, metric, task, one.name] for task in common], one, metric=name)
                for one in evaluations
            ]
            if any(values):
                shown = f"{name} by {metric}" if name == SKILL else name
                found.append(Mean(group, shown, len(common), values))
    return found


def _mean(rows: Sequence[Row], one: Evaluation, *, metric: str) -> Interval | None:
    if metric == SKILL:
        values = [row.skill for row in rows]
    else:
        values = [row.value if metric == row.metric else row.beside.get(metric, math.nan) for row in rows]
    mean = float(np.mean(values))
    if math.isnan(mean):
        return None
    if len(rows) == 1:
        known = metric == rows[0].metric
        return Interval(mean, rows[0].low if known else math.nan, rows[0].high if known else math.nan)
    if any(one.paired.has_rare_long(row.task, metric) for row in rows):
        return Interval(mean, math.nan, math.nan)
    clusters = [_clusters(one.paired.rows.get(row.task, {}).get(metric, {})) for row in rows]
    if all(len(each) > 1 and np.isfinite(each).all() for each in clusters):
        return stratified_interval(clusters, seed=0)._replace(mean=mean)
    # Of single prompts, the tasks themselves are the sample.
    return mean_interval(values, seed=0)


def _interval(values: Mapping[Any, Value]) -> Interval:
    data = _clusters(values)
    if len(data) < 2 or not np.isfinite(data).all():
        return Interval(math.nan, math.nan, math.nan)
    return mean_interval(data, seed=0, within=(0.0, np.inf))


def _clusters(values: Mapping[Any, Value]) -> NDArray[np.float64]:
    """Return one value for each independent row or group of rows."""
    sums: dict[Any, NDArray[np.float64]] = {}
    for key, value in values.items():
        name = key if value.cluster is None else value.cluster
        sums[name] = sums.get(name, np.zeros(2)) + np.array([value.mean * value.outputs, value.outputs])
    if not sums:
        return np.zeros(0)
    table = np.array(list(sums.values()))
    return ratio_values(table[:, 0], table[:, 1])
