"""Forecast rows of a daily series: which day is which, and what is known when."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.forecast_rows import (
    DailySeries,
    clock_offset,
    days_to_complete,
    forecast_rows,
    input_columns,
    lead_columns,
    past_columns,
    region,
    season,
)

DAYS = 8
STATIONS = pd.DataFrame(
    {"latitude": [50.0, 40.0], "longitude": [135.0, -90.0], "altitude_m": [5.0, 7.0], "region": ["mine", "mine"]},
    pd.Index(["east", "west"], name="station"),
)
SERIES = DailySeries("x", np.arange(2 * DAYS).reshape(2, DAYS) * 1.0, np.datetime64("2020-07-01"), STATIONS, 24)


def of(rows: pd.DataFrame, station: str, date: str) -> pd.Series:
    """The row of a station and date."""
    return rows[(rows["group"] == station) & (rows["time"] == pd.Timestamp(date))].iloc[0]


def test_days_are_counted_from_the_date() -> None:
    """On 4 July day k ahead is 4 + k July, and the last day that is complete at 00 UTC 3 July, in the west the 2nd."""
    rows, _ = forecast_rows(SERIES, (1, 2), 3)
    east, west = of(rows, "east", "2020-07-04"), of(rows, "west", "2020-07-04")
    assert east[["x_1d", "x_2d", "x_0d", "x_m1d", "x_m2d"]].tolist() == [4, 5, 2, 1, 0]
    assert west[["x_1d", "x_2d", "x_0d", "x_m1d"]].tolist() == [DAYS + 4, DAYS + 5, DAYS + 1, DAYS]
    assert np.isnan(west["x_m2d"])


def test_the_columns_are_what_they_are_said_to_be() -> None:
    """Targets and inputs are told apart by name; a place, a time and a region are no inputs."""
    rows, _ = forecast_rows(SERIES, (1, 3), 2)
    assert list(rows)[:5] == ["time", "group", "latitude", "longitude", "region"]
    assert rows["time"].dtype == "datetime64[s]"
    assert lead_columns(rows, "x") == {"x_1d": 1, "x_3d": 3}
    assert past_columns(rows, "x") == ["x_0d", "x_m1d"]
    own = ("x_0d", "x_m1d", "x_mean", "x_days", "season_sine", "season_cosine", "altitude_m")
    assert input_columns(rows, "x") == own
    assert set(rows["region"]) == {"30-60N 120-150E", "30-60N 60-90W"}
    assert rows["time"].is_monotonic_increasing


@given(longitude=st.floats(-180, 360), complete=st.integers(24, 31))
def test_the_last_complete_day_is_over_and_the_next_is_not(longitude: float, complete: int) -> None:
    """Counted in hours from 00 UTC of the date: day -n has ended, day -n + 1 has not."""
    n, offset = int(days_to_complete(longitude, complete)), int(clock_offset(longitude))
    assert -24 * n - offset + complete <= 0
    assert -24 * (n - 1) - offset + complete > 0


def test_clocks_follow_the_sun() -> None:
    """An hour for 15 degrees; 181 degrees east are 179 west."""
    assert clock_offset([0, 7.4, 7.6, -75, 139.7, 179, 181, 359]).tolist() == [0, 0, 1, -5, 9, 12, -12, 0]


def test_what_is_usual_is_the_mean_of_all_days_so_far() -> None:
    """The mean and the number of days grow with the date and hold nothing of days that are not complete."""
    rows, _ = forecast_rows(SERIES, (1,), 2)
    east = of(rows, "east", "2020-07-05")
    assert east[["x_0d", "x_mean", "x_days"]].tolist() == [3, np.mean([0, 1, 2, 3]), 4]
    west = of(rows, "west", "2020-07-05")
    assert west[["x_mean", "x_days"]].tolist() == [DAYS + 1, 3]


def test_a_row_needs_a_past_and_its_future_may_be_open() -> None:
    """A gap of days takes the rows whose every day past lies in it; the last row forecasts what nobody knows yet."""
    series = replace(SERIES, values=SERIES.values[:1].copy(), stations=STATIONS[:1])
    rows, left_out = forecast_rows(series, (1,), 1)
    assert (len(rows), left_out) == (DAYS, {})
    assert rows["x_1d"].isna().tolist() == [False] * (DAYS - 2) + [True] * 2
    series.values[0, 3] = np.nan
    rows, left_out = forecast_rows(series, (1,), 1)
    assert left_out == {"station days of which no day past is known": 1}
    assert 5 not in rows["time"].dt.day.tolist()
    assert len(forecast_rows(series, (1, 2), 2)[0]) == DAYS


def test_no_day_makes_no_row() -> None:
    """Where nothing was ever measured there is nothing to forecast from."""
    rows, _ = forecast_rows(replace(SERIES, values=np.full_like(SERIES.values, np.nan)), (1,), 1)
    assert rows.empty


def test_the_season_is_a_circle_of_a_year() -> None:
    """New year is at (0, 1), and the last day of a year lies next to the first."""
    time = np.array(["2019-01-01", "2019-12-31", "2020-01-01", "2020-07-01"], "datetime64[s]")
    sine, cosine = season(time)
    np.testing.assert_allclose(sine**2 + cosine**2, 1)
    np.testing.assert_allclose([sine[0], cosine[0]], [0, 1])
    assert np.hypot(sine[2] - sine[1], cosine[2] - cosine[1]) < 0.03
    assert cosine[3] == pytest.approx(-1, abs=0.01)


def test_regions_are_boxes_on_the_map() -> None:
    """Named by their edges, also at the poles and the date line."""
    latitude = np.array([45.0, -45.0, 90.0, -90.0, 0.0])
    assert region(latitude, np.array([10.0, -10.0, 180.0, 359.0, 179.9])) == [
        "30-60N 0-30E",
        "30-60S 0-30W",
        "60-90N 150-180W",
        "60-90S 0-30W",
        "0-30N 150-180E",
    ]
