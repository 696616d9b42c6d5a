"""A daily series at stations as rows of forecasts: the days ahead, and what is known when the forecast is made.

**When.** A forecast is made at 00 UTC of a date t, as a run of a weather model, and sees the fields of that hour and of
those before. Lead k is the station's own day t + k, by a clock at UTC + round(longitude / 15) hours. So of a day ahead
nothing is measured yet: the first one begins at 12 UTC of t at the earliest.

**What is known.** Day 0 is the last that is complete at 00 UTC of t: t - 1 or, where the station's day ends later than
that, t - 2. Days -1, -2, ... come before it. The mean of all days up to day 0, however long ago, is what is usual at
the station, the better known the more days there were. No input looks at an hour after 00 UTC of t.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from toolkit.geodesy import longitude_difference

Array = NDArray[np.float64]
SEASON = ("season_sine", "season_cosine")
REGION_DEGREES = 30


@dataclass(frozen=True, eq=False)
class DailySeries:
    """One number a day at stations, (stations, days), NaN where not known, and the day it begins with.

    `stations`: one row each, index station; latitude, longitude (degrees, -180 to 180) and what describes them.
    `complete`: hours from a day's midnight after which its number is known.
    """

    name: str
    values: Array
    first: np.datetime64
    stations: pd.DataFrame
    complete: int


def clock_offset(longitude: ArrayLike) -> NDArray[np.int64]:
    """Return by how many hours a station's clock at a longitude is ahead of UTC, -12 to 12."""
    return np.rint(longitude_difference(longitude, 0.0) / 15).astype(np.int64)


def days_to_complete(longitude: ArrayLike, complete: int) -> NDArray[np.int64]:
    """Return how many days before a date the last day is that is complete at 00 UTC of it."""
    return -((clock_offset(longitude) - complete) // 24)


def lead_column(name: str, lead: int) -> str:
    """Return what a column, or a score of it, is called so many days ahead, such as mda8_1d."""
    return f"{name}_{lead}d"


def lead_columns(rows: pd.DataFrame, name: str) -> dict[str, int]:
    """Return the columns of the days ahead, as `lead_column` names them, and how many days ahead they are."""
    found = ((column, re.fullmatch(rf"{name}_([1-9]\d*)d", column)) for column in map(str, rows))
    return {column: int(match[1]) for column, match in found if match}


def past_columns(rows: pd.DataFrame, name: str) -> list[str]:
    """Return the columns of the days known, such as mda8_0d, mda8_m1d, the latest first."""
    return [column for column in map(str, rows) if re.fullmatch(rf"{name}_(0|m[1-9]\d*)d", column)]


def input_columns(rows: pd.DataFrame, name: str) -> tuple[str, ...]:
    """Return the columns that a model may see: the days known, the season, and what describes the station."""
    others = {"time", "group", "latitude", "longitude", "region", *lead_columns(rows, name)}
    return tuple(column for column in map(str, rows) if column not in others)


def forecast_rows(series: DailySeries, leads: Sequence[int], past_days: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return one row for each station and date of which a day past is known, and what is left out.

    Columns: time (00 UTC), group (the station), latitude, longitude, region, the days ahead by lead and the days known
    (NaN where they are not), the mean of all days up to day 0 and how many they are (`_mean`, `_days`), season_sine and
    season_cosine of the date, and what describes the station.
    """
    longitude = series.stations["longitude"].to_numpy()
    known = np.flatnonzero(np.isfinite(series.values).any(axis=0))
    date = np.arange(1, known.max(initial=-1) + 2)
    station, complete = np.arange(len(longitude))[:, None], date - days_to_complete(longitude, series.complete)[:, None]
    margin = max(leads) + past_days + 2
    padded = np.pad(series.values, ((0, 0), (margin, margin)), constant_values=np.nan)
    ahead = {lead_column(series.name, k): padded[station, date + k + margin] for k in leads}
    past = {f"{series.name}_{f'm{k}' if k else 0}d": padded[station, complete - k + margin] for k in range(past_days)}
    has_ahead, has_past = (np.isfinite(list(days.values())).any(axis=0) for days in (ahead, past))
    usual, count = (running[station, complete + margin] for running in _running_mean(padded))
    past |= {f"{series.name}_mean": usual, f"{series.name}_days": count}
    row, column = np.nonzero(has_past)
    time = series.first.astype("datetime64[s]") + date[column] * np.timedelta64(1, "D")
    described = series.stations.iloc[row].reset_index(names="group")
    place = ["group", "latitude", "longitude"]
    numbers = pd.DataFrame({name: days[row, column] for name, days in (ahead | past).items()})
    numbers[list(SEASON)] = np.stack(season(time), axis=-1)
    others = [name for name in described if name not in {*place, *numbers, "time", "region"}]
    rows = pd.concat([described[place], numbers, described[others]], axis=1)
    rows.insert(0, "time", time)
    rows.insert(4, "region", region(described["latitude"].to_numpy(), described["longitude"].to_numpy()))
    lost = int((has_ahead & ~has_past).sum())
    left_out = {"station days of which no day past is known": lost} if lost else {}
    return rows.sort_values(["time", "group"], ignore_index=True), left_out


def _running_mean(values: Array) -> tuple[Array, Array]:
    """Return the mean of what is known up to each day (stations, days), 0 where nothing is, and of how many days."""
    known = np.isfinite(values)
    count = np.cumsum(known, axis=1).astype(np.float64)
    return np.cumsum(np.where(known, values, 0.0), axis=1) / np.maximum(count, 1), count


def season(time: NDArray[np.datetime64]) -> tuple[Array, Array]:
    """Return sine and cosine of the time of the year."""
    angle = 2 * np.pi * ((time - time.astype("datetime64[Y]")) / np.timedelta64(1, "D")) / 365.25
    return np.sin(angle), np.cos(angle)


def region(latitude: Array, longitude: Array) -> list[str]:
    """Return the names of the boxes of 30 by 30 degrees that places lie in, such as "30-60N 0-30E"."""
    south = np.clip(np.floor(latitude / REGION_DEGREES) * REGION_DEGREES, -90, 90 - REGION_DEGREES)
    west = np.floor(longitude_difference(longitude, 0.0) / REGION_DEGREES) * REGION_DEGREES
    return [f"{_span(s, 'NS')} {_span(w, 'EW')}" for s, w in zip(south, west, strict=True)]


def _span(edge: float, sides: str) -> str:
    near, far = sorted((abs(edge), abs(edge + REGION_DEGREES)))
    return f"{near:.0f}-{far:.0f}{sides[int(edge < 0)]}"
