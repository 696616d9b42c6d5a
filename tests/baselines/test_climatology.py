"""Climatology: means of groups, drawn to those of their kinds, with a season where there is one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from toolkit.baselines.climatology import climatology
from toolkit.errors import UserError


@dataclass(frozen=True)
class Rows:
    """Examples without windows."""

    table: pd.DataFrame
    truth: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)


def rows(group: list[str], kind: list[str], value: np.ndarray, start: str = "2020-07-01") -> Rows:
    """Rows one after the other, a day apart, `y` being `value`."""
    time = pd.Timestamp(start) + pd.to_timedelta(np.arange(len(group)) % 40, unit="D")
    table = pd.DataFrame({"time": time, "group": group, "kind": kind}).rename_axis("example")
    return Rows(table, pd.DataFrame({"example": np.arange(len(group)), "y": value}))


def test_a_group_with_many_rows_has_its_own_mean() -> None:
    """400 rows outweigh the kind; what is not known is left out."""
    rng = np.random.default_rng(0)
    value = np.repeat([20.0, 60.0], 400) + rng.normal(0, 5, 800)
    value[::7] = np.nan
    train = rows(["a"] * 400 + ["b"] * 400, ["k"] * 800, value)
    stated = climatology(train, train, {"y": 1}, "kind")(rows(["a", "b"], ["k", "k"], np.zeros(2)))
    assert stated["example"].tolist() == [0, 1]
    np.testing.assert_allclose(stated["y"], [np.nanmean(value[:400]), np.nanmean(value[400:])], atol=0.3)


def test_a_group_with_few_rows_is_drawn_to_its_kind() -> None:
    """One row of 100 among a kind with 30 is stated in between; a group never seen has nearly what its kind has."""
    groups = [f"low {k % 10}" for k in range(100)] + ["few"] + [f"high {k % 10}" for k in range(100)]
    train = rows(groups, ["low"] * 101 + ["high"] * 100, np.repeat([30.0, 100.0, 70.0], [100, 1, 100]))
    ask = rows(["few", "new", "new"], ["low", "low", "high"], np.zeros(3))
    few, low, high = climatology(train, train, {"y": 1}, "kind")(ask)["y"]
    assert (low, high) == pytest.approx((30, 70), abs=6)
    assert low + 1 < few < 90


def test_a_kind_that_is_not_there_or_not_known_is_no_error() -> None:
    """Without the column, with a gap in it and with a word never seen, groups alone are told apart."""
    train = rows(["a"] * 50 + ["b"] * 50, [None] * 50 + ["k"] * 50, np.repeat([20.0, 60.0], 50))
    ask = rows(["a", "b", "new"], ["k", "other", None], np.zeros(3))
    assert climatology(train, train, {"y": 1}, "kind")(ask)["y"].notna().all()
    a, b, new = climatology(train, train, {"y": 1}, "absent")(ask)["y"]
    assert a < new < b


def test_a_year_of_rows_has_a_season_and_a_month_has_none() -> None:
    """With rows of all the year the course of the target's own day is stated; of 40 days a constant."""
    day = pd.Timestamp("2019-01-01") + pd.to_timedelta(np.arange(730), unit="D")
    wave = 40 + 20 * np.sin(2 * np.pi * ((day + pd.Timedelta(days=60)).day_of_year / 365.25))
    table = pd.DataFrame({"time": day, "group": "a", "kind": "k"})
    year = Rows(table, pd.DataFrame({"example": np.arange(730), "y": wave}))
    stated = climatology(year, year, {"y": 60}, "kind")(year)["y"]
    assert np.abs(stated - wave).max() < 2
    month = Rows(table[:40], year.truth[:40])
    assert np.ptp(climatology(month, month, {"y": 60}, "kind")(year)["y"]) == 0


def test_a_winter_has_no_season() -> None:
    """Forty days that go over New Year are as short a stretch as forty in summer."""
    stretches = [rows(["a"] * 40, ["k"] * 40, np.linspace(20, 60, 40), start) for start in ("2020-07-01", "2019-12-10")]
    spreads = [np.ptp(climatology(some, some, {"y": 1}, "kind")(some)["y"]) for some in stretches]
    assert spreads == [0, 0]


def test_validation_says_how_far_groups_are_drawn() -> None:
    """Where groups differ by chance alone, as validation shows, they are drawn further than where they keep apart."""
    rng = np.random.default_rng(1)
    groups, kinds = [f"g{k}" for k in range(40) for _ in range(3)], ["k"] * 120
    noise = rng.normal(50, 10, 120)
    train, chance = rows(groups, kinds, noise), rows(groups, kinds, np.full(120, 50.0))
    drawn = climatology(train, chance, {"y": 1}, "kind")(train)["y"].std()
    assert drawn < 0.5 * climatology(train, train, {"y": 1}, "kind")(train)["y"].std()


def test_it_runs_without_validation_but_not_without_labels() -> None:
    """No validation row is no error; a target that no training row knows is one."""
    train = rows(["a", "b"], ["k", "k"], np.array([1.0, 2.0]))
    empty = Rows(train.table[:0], train.truth[:0])
    assert climatology(train, empty, {"y": 1}, "kind")(train)["y"].notna().all()
    with pytest.raises(UserError, match="No training row knows 'y'"):
        climatology(rows(["a"], ["k"], np.array([np.nan])), empty, {"y": 1}, "kind")
