"""Ozone measured at stations: a world's tables, and tables close to what TOAR and EPA hand out, told by their header.

One CSV file, one row for a station and an hour or a day:

- `station`; `time` (an hour, UTC, by its beginning) or `date` (a day of the station's own clock);
- `o3_ppb`, hourly, or `mda8_ppb`, daily; `_ppm` and `_ug_m3` (at 20 C) instead of `_ppb`, or a column `units`;
- `latitude`, `longitude` (degrees) and any number of further columns that describe the station, the same in all its
  rows; or these in a second file beside it, `NAME_meta.csv`, with one row for a station.

Upper and lower case are the same; `toolkit/data/station_layout.py` lists what else a column may be called.
`docs/station-layout.md` says the same at more length.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.data.station_layout import INSTRUMENT, NOT_OF_A_STATION, ONLY, ozone_column, ppb_in, renamed
from toolkit.data.text_table import (
    dates,
    first_line,
    meanings,
    numbers,
    numbers_or_words,
    read_text_table,
    times,
    without_repeats,
)
from toolkit.errors import UserError, unknown

STATIONS_FILE = "stations.csv"
LIMITS_PPB = (0.0, 500.0)
"""What is believed to be ozone near the ground; beyond it an instrument is at fault."""
KEY = ["station", "time"]
PLACE = ["station", "latitude", "longitude"]


@dataclass(frozen=True, eq=False)
class StationSeries:
    """Ozone at stations, ppb.

    `values`: station, time (datetime64[s]: the beginning of an hour in UTC, or a day), ozone_ppb; each station and time
    once, none where nothing is known. `stations`: index station; latitude, longitude (degrees, -180 to 180), and what
    describes them in numbers and words. `left_out`: why rows or columns of the files are not in it, with counts.
    """

    values: pd.DataFrame
    stations: pd.DataFrame
    hourly: bool
    left_out: dict[str, int]

    def regular(self) -> tuple[NDArray[np.float64], np.datetime64]:
        """Return ozone at every hour or day of whole days (stations, steps), NaN where not known, and the first day."""
        step = np.timedelta64(1, "h" if self.hourly else "D")
        time = self.values["time"].to_numpy()
        first, last = (edge.astype("datetime64[D]") for edge in (time.min(), time.max()))
        steps = (last + np.timedelta64(1, "D") - first) // step
        table = np.full((len(self.stations), steps), np.nan)
        row = self.stations.index.get_indexer(pd.Index(self.values["station"]))
        table[row, (time - first) // step] = self.values["ozone_ppb"]
        return table, first


def read_stations(path: Path, definition: str) -> StationSeries:
    """Read a table of stations, or the one in a world folder.

    Of several columns of daily maxima the one in `definition`, "eu" or "epa", is taken. Raises `UserError` for a column
    that is missing or has no known unit, a cell that is not what its column should hold, a station without a place, and
    rows that contradict each other.
    """
    file = path / STATIONS_FILE if path.is_dir() else path
    left_out: dict[str, int] = {}
    table = _taken(renamed(read_text_table(file)), left_out)
    column, measured = ozone_column(file, table, definition)
    _require(file, table, KEY)
    ozone = numbers(file, table[column]).dropna()
    table = table.loc[ozone.index]
    time = times(file, table["time"]).dt.floor("h") if measured.hourly else dates(file, table["time"])
    ozone = ozone * ppb_in(file, table, column, measured)
    values = pd.DataFrame({"station": table["station"], "time": time, "ozone_ppb": ozone})
    believed = values["ozone_ppb"].between(*LIMITS_PPB)
    _count(left_out, f"ozone outside {LIMITS_PPB[0]:g} to {LIMITS_PPB[1]:g} ppb", ~believed)
    values = values[believed]
    if INSTRUMENT in table:
        values = _first_instrument(values, numbers(file, table[INSTRUMENT]), left_out)
    values = _once(file, values, KEY, "rows that are there twice", left_out)
    if values.empty:
        raise UserError(f"{file} holds no ozone in its column '{column}'.")
    stations = _stations(file, table, values, left_out)
    return StationSeries(values.sort_values(KEY, ignore_index=True), stations, measured.hourly, left_out)


def _taken(table: pd.DataFrame, left_out: dict[str, int]) -> pd.DataFrame:
    for name, pattern, why in ONLY:
        if name in table:
            taken = table[name].str.lower().str.fullmatch(pattern)
            _count(left_out, f"rows {why}", ~taken)
            table = table[taken].drop(columns=name)
    return table


def _require(file: Path, table: pd.DataFrame, names: list[str]) -> None:
    for name in names:
        if name not in table:
            raise unknown(f"column of {file}", name, table.columns)
        if (blank := table[name] == "").any():
            raise UserError(
                f"{file}, line {first_line(blank)}: the column '{name}' is empty. Fill it in or delete the row."
            )


def _first_instrument(values: pd.DataFrame, number: pd.Series, left_out: dict[str, int]) -> pd.DataFrame:
    """Return the values of the instrument with the lowest number at each station and time."""
    number = number[values.index]
    first = number == number.groupby([values[key] for key in KEY]).transform("min")
    _count(left_out, "rows of a second instrument at the same place and time", ~first)
    return values[first]


def _stations(file: Path, table: pd.DataFrame, values: pd.DataFrame, left_out: dict[str, int]) -> pd.DataFrame:
    """Return the stations of the values as numbers and words; a second file has them where `table` has no latitude."""
    source = file
    if "latitude" not in table:
        source = file.with_name(f"{file.stem}_meta{file.suffix}")
        if not source.exists():
            raise UserError(f"{file} has no column 'latitude', and there is no {source.name} beside it that has one.")
        table = renamed(read_text_table(source))
    _require(source, table, PLACE)
    table = table[[name for name in table if name not in NOT_OF_A_STATION]]
    table = _in_one_spelling(table.drop_duplicates() if source == file else table)
    if source == file:
        table = _unchanging(table, left_out).drop_duplicates()
    table = _once(source, table, ["station"], f"stations that are twice in {source.name}", left_out)
    if not (known := values["station"].isin(table["station"])).all():
        line = first_line(~known)
        name = values["station"][line]
        near = get_close_matches(name, table["station"].tolist(), n=1)
        hint = f"Did you mean '{near[0]}'? If not, add" if near else "Add"
        raise UserError(f"{file}, line {line}: {source.name} has no station '{name}'. {hint} it there.")
    table = table[table["station"].isin(values["station"])]
    described = {name: numbers_or_words(source, table[name]) for name in table.columns.drop(PLACE)}
    longitude = (_degrees(source, table, "longitude", 360) + 180) % 360 - 180
    place = {"latitude": _degrees(source, table, "latitude", 90), "longitude": longitude.round(6)}
    return pd.DataFrame({**place, **described}).set_index(table["station"]).sort_index()


def _in_one_spelling(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with all that a station's rows say alike, or not at all, as its first row that says it does."""
    said = table.drop(columns="station")
    meant = said.apply(meanings)
    first = said.where(meant.notna()).groupby(table["station"]).transform("first").fillna("")
    alike = meant.groupby(table["station"]).transform("nunique") <= 1
    return table.assign(**first.where(alike, said))


def _unchanging(table: pd.DataFrame, left_out: dict[str, int]) -> pd.DataFrame:
    """Return the table without the descriptions that are not the same in all rows of a station."""
    described = table.columns.drop(PLACE)
    several = table.groupby("station")[list(described)].nunique().gt(1).any()
    if changing := [name for name in described if several[name]]:
        left_out[f"columns that change within a station: {', '.join(changing)}"] = len(changing)
    return table.drop(columns=changing)


def _degrees(source: Path, table: pd.DataFrame, name: str, limit: int) -> pd.Series:
    values = numbers(source, table[name])
    if (wrong := ~(values.abs() <= limit)).any():
        line = first_line(wrong)
        raise UserError(
            f"{source}, line {line}: {name} '{table[name][line]}' of station '{table['station'][line]}' is not in "
            f"degrees, {-limit} to {limit}."
        )
    return values


def _once(file: Path, table: pd.DataFrame, keys: list[str], why: str, left_out: dict[str, int]) -> pd.DataFrame:
    once, twice = without_repeats(file, table, keys)
    if twice:
        left_out[why] = twice
    return once


def _count(left_out: dict[str, int], why: str, rows: pd.Series) -> None:
    if rows.any():
        left_out[why] = int(rows.sum())
