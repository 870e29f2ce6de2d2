"""Rows become one figure: means over outputs, intervals over clusters, nothing where there is nothing."""

import math

import numpy as np
import pytest

from spectrum_trl.evaluation.aggregates import Metric, aggregations, directions, is_low, ratio, with_interval

FOUND = aggregations({"share": Metric(True), "loss": Metric(False, (0.0, math.inf))}, plain=["loss_first"])


def test_means_run_over_outputs_not_rows() -> None:
    assert ratio([[6.0, 3], [1.0, 1]]) == 7 / 4
    assert set(FOUND) == {"share", "share_low", "share_high", "loss", "loss_low", "loss_high", "loss_first"}


def test_rows_of_one_cluster_count_as_one() -> None:
    values = np.random.default_rng(0).exponential(size=20)
    apart = [[float(v), 1, str(n)] for n, v in enumerate(np.repeat(values, 5))]
    together = [[float(v), 1, str(n // 5)] for n, v in enumerate(np.repeat(values, 5))]
    alone = [[float(v), 1] for v in values]
    assert FOUND["loss_high"](together) == pytest.approx(FOUND["loss_high"](alone))
    assert FOUND["loss_high"](apart) < FOUND["loss_high"](together)


def test_ends_keep_within_what_a_metric_can_be() -> None:
    rows = [[1.0, 1]] * 11 + [[0.0, 1]]
    assert 0 <= FOUND["share_low"](rows) < 11 / 12 < FOUND["share_high"](rows) <= 1


def test_nothing_and_infinity_have_no_interval() -> None:
    empty = [[0.0, 0], [0.0, 0]]
    assert ratio(empty) is None and FOUND["loss_low"](empty) is None
    # What JSON has no number for is no figure, rather than a mean of the rows that are left.
    for value in (math.inf, math.nan, None):
        rows = [with_interval("loss", [value, 1])["loss"], [1.0, 1]]
        assert rows[0] == [None, 1]
        assert ratio(rows) is None and FOUND["loss_high"](rows) is None
    assert FOUND["loss_low"]([[1.0, 1]]) is None


def test_coverage_is_low_below_a_twentieth() -> None:
    assert is_low([[0.02, 1], [0.06, 1]]) == 1 and is_low([[0.02, 1], [0.1, 1]]) == 0
    assert is_low([None]) is None


def test_ends_have_the_direction_of_their_metric() -> None:
    assert directions({"loss": Metric(False)}) == {"loss": False, "loss_low": False, "loss_high": False}
