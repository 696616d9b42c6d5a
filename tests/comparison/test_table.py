from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from toolkit.comparison.table import MetricTable, metric_tables
from toolkit.metrics import Metric, Scores, Statistic, ratio

STORMS = 30
ERROR = Statistic("error", lambda *_: pytest.fail("nothing is computed here"))
HIT = np.random.default_rng(0).uniform(5, 15, STORMS)
"""How hard each storm is, for every method alike."""


def _metric(better: str) -> Metric:
    return Metric("error", "km", better, "mean error", ERROR, lambda sums: ratio(sums["sum"], sums["count"]))


def _scores(metric: Metric, offset: float, count: float = 1.0) -> Scores:
    index = pd.Index([f"storm {k}" for k in range(STORMS)], name="group")
    sums = pd.DataFrame({"sum": count * (HIT + offset), "count": np.full(STORMS, count)}, index=index)
    return Scores((metric,), {"error": sums})


def _table(better: str, offsets: Mapping[str, Mapping[int, float]]) -> MetricTable:
    metric = _metric(better)
    scores = {name: {seed: _scores(metric, d) for seed, d in of.items()} for name, of in offsets.items()}
    return metric_tables((metric,), scores)["error"]


def test_rows_have_the_known_means_and_differences() -> None:
    """Methods that differ by a constant differ by exactly that, whatever the storms, and the best is on top."""
    table = _table("lower", {"none": {0: 4.0, 1: 4.0}, "a": {0: 1.0, 1: 1.0}, "b": {0: 2.0, 1: 2.0}})
    assert [row.pretext for row in table.rows] == ["a", "b", "none"]
    a, b, none = table.rows
    assert a.value == pytest.approx(HIT.mean() + 1, rel=1e-5)
    assert a.low < a.value < a.high
    assert [(row.against_none.value, row.against_none.low, row.against_none.high) for row in (a, b)] == [
        pytest.approx((-3, -3, -3)),
        pytest.approx((-2, -2, -2)),
    ]
    assert b.against_best.value == pytest.approx(1)
    assert (none.against_none, a.against_best) == (None, None)
    assert all(d.certain for d in (a.against_none, b.against_none, b.against_best, none.against_best))
    least = 2 / 2001  # of 2,000 draws
    assert a.against_none.p_holm == pytest.approx(2 * least, rel=1e-3)


def test_where_higher_is_better_the_highest_is_best() -> None:
    """The order turns round with the metric's direction."""
    offsets = {"none": {0: 4.0}, "a": {0: 1.0}, "b": {0: 2.0}}
    assert [row.pretext for row in _table("higher", offsets).rows] == ["none", "b", "a"]


def test_seeds_that_differ_widen_the_interval() -> None:
    """A mean over seeds is as uncertain as the seeds are apart, and the difference then is no more than chance."""
    table = _table("lower", {"none": {0: 0.0, 1: 0.0, 2: 0.0}, "a": {0: -3.0, 1: 1.5, 2: 0.9}})
    a = table.rows[0]
    assert a.against_none.value == pytest.approx(-0.2)
    assert a.against_none.low < 0 < a.against_none.high
    assert not a.against_none.certain
    assert a.high - a.low > table.rows[1].high - table.rows[1].low


def test_only_seeds_that_both_have_are_paired() -> None:
    """A row that lost a seed is compared on the others; one that shares none has no difference."""
    table = _table("lower", {"none": {0: 1.0, 1: 5.0}, "a": {1: 3.0}, "b": {2: 9.0}})
    rows = {row.pretext: row for row in table.rows}
    assert rows["a"].against_none.value == pytest.approx(-2)
    assert (rows["a"].seeds, rows["none"].seeds) == (1, 2)
    assert rows["b"].against_none is None


def test_a_row_without_a_value_is_last_and_claims_nothing() -> None:
    """An undefined score is None throughout, and takes no part in the correction."""
    metric = _metric("lower")
    scores = {"none": {0: _scores(metric, 1.0)}, "a": {0: _scores(metric, 0.0)}, "b": {0: _scores(metric, 0.0, 0.0)}}
    rows = metric_tables((metric,), scores)["error"].rows
    assert [row.pretext for row in rows] == ["a", "none", "b"]
    assert (rows[2].value, rows[2].against_none.p_holm, rows[2].against_none.certain) == (None, None, False)
    assert rows[0].against_none.p_holm == pytest.approx(2 / 2001, rel=1e-3)
