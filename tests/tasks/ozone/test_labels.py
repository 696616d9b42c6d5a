"""Labels of daily ozone: the right days, nothing of the future, and both kinds of tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ozone.labels import area, daily_rows
from toolkit.data.forecast_rows import input_columns, lead_columns
from toolkit.errors import UserError

LONGITUDES = {"west": -120.0, "here": 0.0, "east": 135.0}
DAYS = 12
FIRST = pd.Timestamp("2020-07-01")


def write(folder: Path, hourly: np.ndarray) -> Path:
    """A world with three stations and their hours (3, hours)."""
    meta = pd.DataFrame({"station": list(LONGITUDES), "latitude": 45.0, "longitude": list(LONGITUDES.values())})
    meta.assign(altitude_m=10.0, type_of_area="rural").to_csv(folder / "stations_meta.csv", index=False)
    time = FIRST + pd.to_timedelta(np.arange(hourly.shape[1]), unit="h")
    table = pd.DataFrame({"station": np.repeat(list(LONGITUDES), len(time)), "time": np.tile(time, 3)})
    table.assign(o3_ppb=hourly.ravel()).to_csv(folder / "stations.csv", index=False)
    return folder


def at(rows: pd.DataFrame, station: str, date: str) -> pd.Series:
    """The row of a station and date."""
    return rows[(rows["group"] == station) & (rows["time"] == pd.Timestamp(date))].iloc[0]


def test_days_are_the_stations_own(tmp_path: Path) -> None:
    """All hours of the own day n of a station have 10 n ppb, and so has its maximum: k days ahead it is 10 (n + k)."""
    hour = np.arange(24 * DAYS)
    own_day = [1 + (hour + offset) // 24 for offset in (-8, 0, 9)]
    rows, left_out = daily_rows(write(tmp_path, 10.0 * np.array(own_day)), "eu")
    assert not [why for why in left_out if "station days" not in why]
    for station, last in (("west", 4), ("here", 5), ("east", 5)):
        row = at(rows, station, "2020-07-06")
        assert row[["mda8_1d", "mda8_2d", "mda8_3d", "mda8_4d"]].tolist() == [70, 80, 90, 100]
        assert row[["mda8_0d", "mda8_m1d", "mda8_m2d"]].tolist() == [10 * last, 10 * (last - 1), 10 * (last - 2)]


def test_a_day_of_the_epa_is_known_later(tmp_path: Path) -> None:
    """At Greenwich the day before ends at 07 UTC of the date, so the last that is known is the one before it."""
    rows, _ = daily_rows(write(tmp_path, np.repeat(np.arange(DAYS)[::-1] * 10.0, 24)[None].repeat(3, 0)), "epa")
    row = at(rows, "here", "2020-07-06")
    assert row["mda8_0d"] == 10.0 * (DAYS - 4)
    assert row["mda8_1d"] == 10.0 * (DAYS - 7)
    assert at(rows, "east", "2020-07-06")["mda8_0d"] > row["mda8_0d"] - 11


@pytest.mark.slow
@pytest.mark.parametrize("definition", ["eu", "epa"])
@settings(max_examples=12)
@given(date=st.integers(2, DAYS - 2), seed=st.integers(0, 1000))
def test_no_input_looks_ahead(tmp_path_factory: pytest.TempPathFactory, definition: str, date: int, seed: int) -> None:
    """Whatever happens from 00 UTC of a date on, the inputs of rows until then stay; what came before is in them."""
    rng = np.random.default_rng(seed)
    hourly = rng.uniform(0, 100, (3, 24 * DAYS)).round(1)
    changed = hourly.copy()
    changed[:, 24 * date :] = rng.uniform(0, 100, changed[:, 24 * date :].shape).round(1)
    until = FIRST + pd.Timedelta(days=date)
    inputs = []
    for values in (hourly, changed):
        rows, _ = daily_rows(write(tmp_path_factory.mktemp("world"), values), definition)
        known = rows[rows["time"] <= until]
        inputs.append(known[["time", "group", *input_columns(rows, "mda8")]].reset_index(drop=True))
        ahead = known[known["time"] == until][list(lead_columns(rows, "mda8"))]
        assert ahead.notna().any(axis=None) or date >= DAYS - 2
    pd.testing.assert_frame_equal(*inputs)
    assert inputs[0][["mda8_0d"]].notna().any(axis=None)


@pytest.mark.parametrize("definition", ["eu", "epa"])
def test_no_hour_of_the_days_ahead_is_measured_yet(tmp_path: Path, definition: str) -> None:
    """Whatever happened before 00 UTC of a date, the days ahead of it stay."""
    rng = np.random.default_rng(0)
    hourly = rng.uniform(0, 100, (3, 24 * DAYS)).round(1)
    before, _ = daily_rows(write(tmp_path, hourly), definition)
    hourly[:, : 24 * 5] = rng.uniform(0, 100, (3, 24 * 5)).round(1)
    after, _ = daily_rows(write(tmp_path, hourly), definition)
    date = FIRST + pd.Timedelta(days=5)
    ahead = list(lead_columns(before, "mda8"))
    assert not before[before["time"] == date]["mda8_0d"].equals(after[after["time"] == date]["mda8_0d"])
    pd.testing.assert_frame_equal(before[before["time"] >= date][ahead], after[after["time"] >= date][ahead])


def test_a_daily_table_gives_the_rows_of_the_hourly_one(tmp_path: Path) -> None:
    """The maxima, handed over as a daily table with places, make the same rows as the hours they come from."""
    hourly = np.random.default_rng(1).uniform(0, 100, (3, 24 * DAYS)).round(1)
    rows, _ = daily_rows(write(tmp_path, hourly), "eu")
    one = rows[["group", "time", "mda8_1d"]].rename(columns={"group": "station", "mda8_1d": "dma8eu"})
    one["date"] = one["time"] + pd.Timedelta(days=1)
    past = rows[["group", "time", "mda8_0d"]].rename(columns={"group": "station", "mda8_0d": "dma8eu"})
    behind = np.where(past["station"] == "west", 2, 1)
    past["date"] = past["time"] - pd.to_timedelta(behind, unit="D")
    days = pd.concat([one, past]).dropna().drop_duplicates(["station", "date"]).drop(columns="time")
    days["longitude"] = days["station"].map(LONGITUDES)
    days.assign(latitude=45.0, altitude_m=10, type_of_area="rural").to_csv(tmp_path / "days.csv", index=False)
    daily, _ = daily_rows(tmp_path / "days.csv", "eu")
    pd.testing.assert_frame_equal(daily[list(rows)], rows, check_dtype=False)


def test_labels_without_consecutive_days_are_an_error(tmp_path: Path) -> None:
    """Two hours make no day; another definition than the two is refused before anything is read."""
    with pytest.raises(UserError, match="no forecast can be made"):
        daily_rows(write(tmp_path, np.full((3, 2), 40.0)), "eu")
    with pytest.raises(UserError, match="No definition of the daily ozone maximum 'uk'"):
        daily_rows(tmp_path, "uk")


def test_stations_are_of_the_kind_that_their_table_says(tmp_path: Path) -> None:
    """Budgets are drawn in proportion to the types of area; a table that has none has one kind."""
    rows, _ = daily_rows(write(tmp_path, np.ones((3, 24 * DAYS))), "eu")
    assert set(area(rows)) == {"rural"}
    assert set(area(rows.drop(columns="type_of_area"))) == {""}
