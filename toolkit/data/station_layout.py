"""What the columns of a station table are called, here and by TOAR and EPA, and which units ozone comes in."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from toolkit.data.text_table import first_line
from toolkit.errors import UserError, unknown

NAMES = {
    "station": ("station_id", "station_code", "site_id"),
    "time": ("datetime", "date", "date local"),
    "latitude": ("lat", "station_lat"),
    "longitude": ("lon", "station_lon"),
    "altitude_m": ("altitude", "alt", "station_alt"),
    "type_of_area": ("station_type_of_area",),
    "population_density": ("station_population_density",),
    "nox_emissions": ("station_nox_emissions",),
    "units": ("unit", "units of measure"),
}
"""A column's name here, and its other names."""
JOINED = {"station": ("-", "state code", "county code", "site num"), "time": (" ", "date gmt", "time gmt")}
"""What EPA spreads over several columns, and what joins them."""
UNITS = {
    **dict.fromkeys(("ppb", "nmol/mol", "nmol mol-1", "parts per billion"), 1.0),
    **dict.fromkeys(("ppm", "umol/mol", "umol mol-1", "parts per million"), 1000.0),
    **dict.fromkeys(("ug/m3", "ug m-3", "µg/m3", "μg/m3", "µg m-3", "μg m-3"), 1 / 1.9957),
}
"""Parts per billion in a unit; micrograms per cubic metre at 20 C and 1013 hPa, as the EU has them."""
SUFFIXES = {"_ppb": "ppb", "_ppm": "ppm", "_ug_m3": "ug/m3"}


@dataclass(frozen=True)
class Measured:
    """A column of ozone: its name without a unit, if it is hourly or daily maxima, in whose definition, its unit."""

    name: str
    hourly: bool
    definition: str = ""
    unit: str = ""


MEASURED = (
    Measured("o3", hourly=True),
    Measured("ozone", hourly=True),
    Measured("sample measurement", hourly=True),
    Measured("mda8", hourly=False),
    Measured("dma8eu", hourly=False, definition="eu", unit="ppb"),
    Measured("dma8epax", hourly=False, definition="epa", unit="ppb"),
    Measured("1st max value", hourly=False, definition="epa"),
)
ONLY = (
    ("parameter code", "0*44201", "of another substance than ozone"),
    ("sample duration", "8-hr.*", "of another averaging time than 8 hours"),
    ("event type", "(?!.*exclu).*", "without the hours of an exceptional event"),
)
"""Of EPA's tables: the rows that are taken, by a pattern for a column, and why the others are not."""
INSTRUMENT = "poc"
"""EPA's number of an instrument at a station."""
NOT_OF_A_STATION = {"time", "units", INSTRUMENT, *(m.name + end for m in MEASURED for end in ("", *SUFFIXES))}


def renamed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the names used here, and of EPA's tables only these: others say nothing of a place."""
    table = table.rename(columns=str.lower)
    is_epa = JOINED["station"][1] in table
    for name, (between, first, *others) in JOINED.items():
        if all(part in table for part in (first, *others)):
            table[name] = table[first].str.cat(table[others], sep=between)
    for name, synonyms in NAMES.items():
        if name not in table and (found := [synonym for synonym in synonyms if synonym in table]):
            table = table.rename(columns={found[0]: name})
    known = {*NAMES, *NOT_OF_A_STATION, *(name for name, _, _ in ONLY)}
    return table[[name for name in table.columns if name in known]] if is_epa else table


def ozone_column(file: Path, table: pd.DataFrame, definition: str) -> tuple[str, Measured]:
    """Return the name of the column of ozone that is meant and what it holds, unit "" where its name does not say it.

    Daily maxima that name no definition are taken to be in the one asked for, and stand before any other column where
    the times are days. Raises `UserError` where there is none.
    """
    there = {
        measured.name + end: replace(measured, unit=unit)
        for measured in MEASURED
        for end, unit in {**SUFFIXES, "": measured.unit}.items()
        if measured.name + end in table
    }
    daily = {name: measured for name, measured in there.items() if not measured.hourly}
    if daily and "time" in table and (table["time"].str.len() <= len("2020-07-01")).all():
        there = daily
    for name, measured in there.items():
        if measured.definition in ("", definition):
            return name, measured
    for name, measured in there.items():
        raise UserError(
            f"{file} holds daily maxima in the definition '{measured.definition}' (column '{name}'), not in "
            f"'{definition}'. Ask for '{measured.definition}', or give hourly values."
        )
    near = [hit for name in ("o3_ppb", "mda8_ppb") for hit in get_close_matches(name, table.columns, n=1)]
    hint = f"Is it '{near[0]}'? " if near else ""
    raise UserError(f"{file} has no column of ozone. {hint}Call it o3_ppb if it is hourly, mda8_ppb if it is daily.")


def ppb_in(file: Path, table: pd.DataFrame, column: str, measured: Measured) -> pd.Series | float:
    """Return how many ppb one unit of a column of ozone is, for all rows or for each.

    Raises `UserError` where neither the column's name nor a column `units` says it, and for a unit that is not known.
    """
    if measured.unit:
        return UNITS[measured.unit]
    if "units" not in table:
        names = ", ".join(column + end for end in SUFFIXES)
        raise UserError(f"{file} does not say the unit of '{column}'. Call it one of {names}, or add a column 'units'.")
    unit = table["units"].str.lower()
    for name in unit.unique():
        if name not in UNITS:
            raise unknown(f"unit of ozone (line {first_line(unit == name)} of {file})", name, UNITS)
    return unit.map(UNITS)
