"""The table holds every figure of the results, with its interval."""

import numpy as np
import pytest
from rich.console import Console

from spectrum_trl.metrics.intervals import mean_interval
from spectrum_trl.tiny import table as tables
from spectrum_trl.tiny.measure import TinyResult


def text_of(**results: TinyResult) -> list[str]:
    console = Console(width=200, record=True, quiet=False, file=open("/dev/null", "w"))
    tables.show(results, console=console)
    return console.export_text().splitlines()


def line(lines: list[str], metric: str, *, after: str) -> str:
    start = next(index for index, text in enumerate(lines) if after in text)
    return next(text for text in lines[start:] if metric in text)


def test_every_figure_is_in_the_table_with_its_interval(
    learnt_result: TinyResult, uniform_result: TinyResult
) -> None:
    lines = text_of(before=learnt_result, after=uniform_result)
    assert any("before" in text and "after" in text and "exact" in text for text in lines)
    expected = {
        ("described urns", "JS divergence"): lambda r: r.urn.js_divergence,
        ("described urns", "coverage"): lambda r: r.urn.coverage,
        ("100 samples per prompt", "share valid"): lambda r: r.sampling.share_valid,
        ("100 samples per prompt", "share unique"): lambda r: r.sampling.share_unique,
        ("100 samples per prompt", "yield"): lambda r: r.sampling.yield_count,
    }
    for kind, name in (("coin", "coin"), ("categorical", "die"), ("numbers", "number")):
        for label, positions in (
            ("no example", slice(0, 1)),
            ("1–7 examples", slice(1, 8)),
            ("≥ 8 examples", slice(8, None)),
        ):
            expected[f"{kind}: loss above", label] = lambda r, n=name, p=positions: getattr(r, n).excess(p)
    assert len(expected) == len(tables.rows(learnt_result)) == 14
    for (section, metric), values in expected.items():
        row = line(lines, metric, after=section)
        for result in (learnt_result, uniform_result):
            for number in mean_interval(values(result), seed=0):
                assert f"{number:.1f}" in row or f"{number:.3f}" in row, (section, metric)


def test_the_exact_column_holds_what_an_exact_sampler_reaches(learnt_result: TinyResult) -> None:
    exact = float(np.mean(learnt_result.sampling.exact_yield))
    figures = {row.metric: row.exact for row in tables.rows(learnt_result)}
    assert figures["yield (different valid samples)"] == exact
    assert figures["share unique of the valid"] == pytest.approx(exact / 100)
    assert f"{exact:.1f}" in line(text_of(model=learnt_result), "yield", after="100 samples")


def test_a_single_item_is_shown_without_interval(learnt_result: TinyResult) -> None:
    urn = learnt_result.urn._replace(js_divergence=[0.25], coverage=[0.5])
    lines = text_of(model=learnt_result._replace(urn=urn))
    assert "0.250" in line(lines, "JS divergence", after="described") and "nan" not in "".join(lines)
