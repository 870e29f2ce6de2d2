"""The table holds every figure of the results, with its interval."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from spectrum_trl.metrics.distributional import uniform_guess
from spectrum_trl.metrics.intervals import Interval, mean_interval, ratio_interval
from spectrum_trl.tiny import table as tables
from spectrum_trl.tiny.evaluation_items import SAMPLES, evaluation_items, probabilities
from spectrum_trl.tiny.scores import CATEGORICAL, COIN, NUMBERS, RANGES, URN, URNS, TinyResult
from tests.small_models import FEW
from tests.tiny.leaks import reduced

pytestmark = pytest.mark.usefixtures("few_items")


def text_of(**results: TinyResult) -> list[str]:
    console = Console(width=200, record=True, quiet=False, file=open("/dev/null", "w"))
    console.print(tables.table(results))
    return console.export_text().splitlines()


def line(lines: list[str], metric: str, *, after: str) -> str:
    start = next(index for index, text in enumerate(lines) if after in text)
    return next(text for text in lines[start:] if metric in text)


def by_range(result: TinyResult, task: str, name: str) -> list[float]:
    """Return means over the wordings of the same numbers."""
    found: dict[tuple[str, ...], list[float]] = {}
    for row, value in zip(result.rows[task], result.values(task, name), strict=True):
        found.setdefault(tuple(re.findall(r"\d+", row.prompt)), []).append(float(value))
    return [float(np.mean(values)) for values in found.values()]


def by_proportion(values: Any) -> Interval:
    """Return the mean and its interval over the different proportions of the urns."""
    keys = [reduced(map(int, re.findall(r"\d+", world.description))) for world in evaluation_items(0).urns]
    sums, counts = Counter[Any](), Counter(keys)
    for key, value in zip(keys, values, strict=True):
        sums[key] += float(value)
    return ratio_interval([sums[key] for key in counts], list(counts.values()), seed=0)


def test_every_figure_is_in_the_table_with_its_interval(
    learnt_result: TinyResult, uniform_result: TinyResult
) -> None:
    lines = text_of(before=learnt_result, after=uniform_result)
    assert any("before" in text and "after" in text and "exact" in text for text in lines)
    expected: dict[tuple[str, str], Any] = {
        ("described urns", label): lambda r, name=name: r.values(URN, name)
        for label, name in (
            ("JS divergence", "js_divergence"),
            ("coverage", "coverage"),
            ("mode match", "mode_match"),
        )
    }
    for task, kind in ((URNS, "urns"), (RANGES, "ranges")):
        section = next(
            text for text in lines if f"samples of each of {FEW['PROMPTS']} prompts" in text and kind in text
        )
        for metric, name in (
            ("share valid", "share_valid"),
            ("probability that two agree", "collision"),
            ("unique share", "share_unique"),
            ("exact sampler", "exact_unique"),
            ("yield", "yield_count"),
        ):
            expected[section, metric] = lambda r, task=task, name=name: by_range(r, task, name)
    for name, task in (("coin", COIN), ("categorical", CATEGORICAL), ("numbers", NUMBERS)):
        for label, positions in (
            ("no example", slice(0, 1)),
            ("1–7 examples", slice(1, 8)),
            ("≥ 8 examples", slice(8, None)),
        ):
            expected[f"{name}: loss above", label] = lambda r, t=task, p=positions: r.regret(t, p)
    # The slope is a ratio, tested for itself.
    assert len(expected) == len(tables.rows(learnt_result)) - 1
    for (section, metric), values in expected.items():
        row = line(lines, metric, after=section)
        for result in (learnt_result, uniform_result):
            urns = section == "described urns"
            interval = by_proportion(values(result)) if urns else mean_interval(values(result), seed=0)
            for number in (number for number in interval if np.isfinite(number)):
                assert f"{number:.1f}" in row or f"{number:.3f}" in row, (section, metric)


def test_the_exact_and_the_uniform_column_hold_their_means(learnt_result: TinyResult) -> None:
    figures = {(row.section, row.metric): row for row in tables.rows(learnt_result)}
    items = evaluation_items(0)
    urns, ranges = (
        [np.array(list(probabilities(world).values())) for world in worlds]
        for worlds in (items.full_urns, items.ranges)
    )
    (yields,) = (row for (name, metric), row in figures.items() if "ranges" in name and "yield" in metric)
    assert yields.exact == pytest.approx(np.mean([(1 - (1 - p) ** SAMPLES).sum() for p in ranges]))
    assert len(yields.values) == len(by_range(learnt_result, RANGES, "yield_count")) < FEW["PROMPTS"]
    agree = next(row for (name, metric), row in figures.items() if "urns" in name and "agree" in metric)
    assert agree.exact == pytest.approx(np.mean([(p**2).sum() for p in urns]))
    assert agree.uniform == pytest.approx(np.mean([1 / p.size for p in urns]))
    guesses = [uniform_guess(list(probabilities(world).values())).js_divergence for world in items.urns]
    assert figures["described urns", "JS divergence"].uniform == pytest.approx(np.mean(guesses))
    slope = figures["described urns", "slope of shares on true shares"]
    assert slope.interval().mean == pytest.approx(learnt_result.mean(URN, "slope"))
    assert (slope.exact, slope.uniform) == (1, 0)


def test_differences_are_paired_item_by_item(learnt_result: TinyResult, uniform_result: TinyResult) -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))
    both = {"even": uniform_result, "learnt": learnt_result}
    console.print(tables.differences(both, last="learnt"))
    row = line(console.export_text().splitlines(), "yield", after="learnt minus")
    changes = np.subtract(*(by_range(one, URNS, "yield_count") for one in (learnt_result, uniform_result)))
    for number in mean_interval(changes, seed=0):
        assert f"{number:.1f}" in row or f"{number:.3f}" in row


def test_the_first_samples_of_each_model_are_shown(learnt_result: TinyResult) -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))
    console.print(tables.samples({"learnt": learnt_result}))
    text = console.export_text()
    row = learnt_result.rows[URNS][0]
    assert ", ".join(row.first) in text and row.prompt[:20] in text


def test_a_single_item_is_shown_without_interval(learnt_result: TinyResult) -> None:
    row = learnt_result.rows[URN][0]
    rows = [row.model_copy(update={"values": row.values | {"coverage": (0.5, 1.0)}})]
    lines = text_of(model=learnt_result.model_copy(update={"rows": learnt_result.rows | {URN: rows}}))
    assert "0.500" in line(lines, "coverage", after="described") and "nan" not in "".join(lines)


def test_markdown_says_what_the_table_says(learnt_result: TinyResult, uniform_result: TinyResult) -> None:
    shown = "\n".join(text_of(before=learnt_result, after=uniform_result))
    head, rule, *lines = tables.markdown({"before": learnt_result, "after": uniform_result}).splitlines()
    assert head == "|  | before | after | uniform guess | exact |" and rule.count("---:") == 4
    assert len(lines) == len(tables.rows(learnt_result))
    for text in lines:
        cells = text.strip("|").split("|")[1:]
        assert len(cells) == 4 and all(cell.strip() in shown for cell in cells)
