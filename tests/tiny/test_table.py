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
from spectrum_trl.tiny.evaluation_items import PROMPTS, evaluation_items, probabilities
from spectrum_trl.tiny.scores import Sampling, TinyResult, Urns
from tests.tiny.leaks import reduced


def text_of(**results: TinyResult) -> list[str]:
    console = Console(width=200, record=True, quiet=False, file=open("/dev/null", "w"))
    tables.show(results, console=console)
    return console.export_text().splitlines()


def line(lines: list[str], metric: str, *, after: str) -> str:
    start = next(index for index, text in enumerate(lines) if after in text)
    return next(text for text in lines[start:] if metric in text)


def by_range(part: Sampling, name: str) -> list[float]:
    """Return means over the wordings of the same numbers."""
    found: dict[tuple[str, ...], list[float]] = {}
    for text, value in zip(part.descriptions, getattr(part, name), strict=True):
        found.setdefault(tuple(re.findall(r"\d+", text)), []).append(value)
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
        ("described urns", "JS divergence"): lambda r: r.urn.js_divergence(),
        ("described urns", "coverage"): lambda r: [one.coverage for one in r.urn.compared()],
        ("described urns", "mode match"): lambda r: [one.mode_match for one in r.urn.compared()],
    }
    for kind in ("urns", "ranges"):
        section = next(
            text for text in lines if f"samples of each of {PROMPTS} prompts" in text and kind in text
        )
        for metric, name in (
            ("share valid", "share_valid"),
            ("probability that two agree", "collision"),
            ("unique share", "share_unique"),
            ("exact sampler", "exact_unique"),
            ("yield", "yield_count"),
        ):
            expected[section, metric] = lambda r, kind=kind, name=name: by_range(getattr(r, kind), name)
    for kind, name in (("coin", "coin"), ("categorical", "die"), ("numbers", "number")):
        for label, positions in (
            ("no example", slice(0, 1)),
            ("1–7 examples", slice(1, 8)),
            ("≥ 8 examples", slice(8, None)),
        ):
            expected[f"{kind}: loss above", label] = lambda r, n=name, p=positions: getattr(r, n).excess(p)
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
    exact = float(np.mean(learnt_result.ranges.exact_yield))
    (yields,) = (row for (name, metric), row in figures.items() if "ranges" in name and "yield" in metric)
    assert yields.exact == exact and len(yields.values) == len(set(learnt_result.ranges.worlds())) < PROMPTS
    agree = next(row for (name, metric), row in figures.items() if "urns" in name and "agree" in metric)
    full = evaluation_items(0).full_urns
    shares = [list(probabilities(world).values()) for world in full]
    assert agree.exact == pytest.approx(np.mean([sum(p * p for p in one) for one in shares]))
    assert agree.uniform == pytest.approx(np.mean([1 / len(one) for one in shares]))
    guesses = [uniform_guess(p).js_divergence for p in learnt_result.urn.exact]
    assert figures["described urns", "JS divergence"].uniform == pytest.approx(np.mean(guesses))
    slope = figures["described urns", "slope of shares on true shares"]
    products, squares = learnt_result.urn.slopes()
    assert slope.interval(seed=0).mean == pytest.approx(products.sum() / squares.sum())
    assert (slope.exact, slope.uniform) == (1, 0)


def test_differences_are_paired_item_by_item(learnt_result: TinyResult, uniform_result: TinyResult) -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))
    both = {"even": uniform_result, "learnt": learnt_result}
    console.print(tables.differences(both, last="learnt"))
    row = line(console.export_text().splitlines(), "yield", after="learnt minus")
    changes = np.subtract(*(by_range(one.urns, "yield_count") for one in (learnt_result, uniform_result)))
    for number in mean_interval(changes, seed=0):
        assert f"{number:.1f}" in row or f"{number:.3f}" in row


def test_the_first_samples_of_each_model_are_shown(learnt_result: TinyResult) -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))
    console.print(tables.samples({"learnt": learnt_result}))
    text = console.export_text()
    assert ", ".join(learnt_result.urns.first[0]) in text and learnt_result.urns.descriptions[0][:20] in text


def test_a_single_item_is_shown_without_interval(learnt_result: TinyResult) -> None:
    urn = Urns([[0.6, 0.4]], [[0.25, 0.25]])
    lines = text_of(model=learnt_result._replace(urn=urn))
    assert "0.500" in line(lines, "coverage", after="described") and "nan" not in "".join(lines)


def test_markdown_says_what_the_table_says(learnt_result: TinyResult, uniform_result: TinyResult) -> None:
    shown = "\n".join(text_of(before=learnt_result, after=uniform_result))
    head, rule, *lines = tables.markdown({"before": learnt_result, "after": uniform_result}).splitlines()
    assert head == "|  | before | after | uniform guess | exact |" and rule.count("---:") == 4
    assert len(lines) == len(tables.rows(learnt_result))
    for text in lines:
        cells = text.strip("|").split("|")[1:]
        assert len(cells) == 4 and all(cell.strip() in shown for cell in cells)
