"""Labels of the daily forecast: a station's MDA8 one to four days ahead, with what is known when it is made.

When that is, and what is known then, is said in `toolkit.data.forecast_rows`: 00 UTC of a date t, at which the own day
t + k is k days ahead. Day 0, the last that is complete then, is t - 1 where clocks are not behind UTC and t - 2
elsewhere; in the EPA's definition, whose days end at 07:00 of the next, it is t - 2 west of 97.5 E. The first hour that
counts for the first day ahead, in the EU's definition at 17:00 of the day before, is measured at 05 UTC of t or later.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tasks.ozone.mda8 import definition_named, mda8
from toolkit.data.forecast_rows import DailySeries, forecast_rows
from toolkit.data.stations import read_stations
from toolkit.errors import UserError

NAME = "mda8"
LEADS = (1, 2, 3, 4)
PAST_DAYS = 3


def daily_rows(path: Path, definition: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return one row per station and date with a day ahead and a day past that are known, and what was left out.

    Columns: time (00 UTC), group (the station), latitude, longitude (degrees), region; mda8_1d, ... by lead and
    mda8_0d, mda8_m1d, ... (ppb, NaN where not known); season_sine, season_cosine; then whatever describes the station.
    `path`: a world folder, or a table that `toolkit.data.stations` reads; `definition`: "eu" or "epa". Raises
    `UserError` for what cannot be read, and where no row is left.
    """
    rule = definition_named(definition)
    series = read_stations(path, rule.name)
    values, first = series.regular()
    if series.hourly:
        values = mda8(values, series.stations["longitude"].to_numpy(), rule)
        first = first - np.timedelta64(1, "D")
    daily = DailySeries(NAME, values, first, series.stations, rule.complete)
    rows, left_out = forecast_rows(daily, LEADS, PAST_DAYS)
    if rows.empty:
        raise UserError(
            f"No station in {path} has daily ozone on days that follow each other: no forecast can be made."
        )
    return rows, series.left_out | left_out


def area(labels: pd.DataFrame) -> pd.Series:
    """Return the type of area of each row's station, such as rural; nothing where the table does not say."""
    return labels["type_of_area"] if "type_of_area" in labels else pd.Series("", labels.index)
