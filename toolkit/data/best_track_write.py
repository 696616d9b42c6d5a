"""A table of fixes, read or simulated, as a file in NHC's HURDAT2 layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.data.best_track_format import (
    COLUMNS,
    FIRST_YEAR,
    LARGEST_NUMBER,
    LARGEST_WIND,
    LAST_YEAR,
    NUMBERS,
    RECORDS,
    STATUSES,
    Block,
    Layout,
    laid_out,
    rendered,
)
from toolkit.data.best_track_lines import NAME, STORM, header_line
from toolkit.errors import UserError, unknown
from toolkit.files import whole_file

CURRENT_LAYOUT = Layout()
_REQUIRED = COLUMNS[: COLUMNS.index("pressure_hpa") + 1]
_NAME_WIDTH = 19


def write_best_track(path: Path, fixes: pd.DataFrame, layout: Layout = CURRENT_LAYOUT) -> None:
    """Write fixes as a HURDAT2 file, storm by storm in the order in which storms first appear.

    The columns are those of `BestTrack.fixes`; radii without a column are missing. Longitudes may lie anywhere in
    [-360, 360]. Values are rounded to what the format holds: 0.1 degree, 1 kt, 1 hPa, 1 nautical mile.
    Raises UserError, with nothing written, for what the format cannot hold or the reader would not give back.
    """
    _check_columns(fixes)
    code, storms = pd.factorize(fixes["storm"])
    order = np.argsort(code, kind="stable")
    fixes, counts = fixes.iloc[order], np.bincount(code, minlength=len(storms))
    ends = np.cumsum(counts)
    names = _names(fixes, list(storms), ends - counts, ends)
    block = _block(fixes)
    if layout.fields == 20:
        _check(fixes, NUMBERS[-1], ~np.isnan(block.numbers[:, -1]), "missing, since 20 fields have no place for it")
    lines = laid_out(rendered(block), layout)
    width, newline = len(lines) // len(fixes), layout.newline.encode()
    pieces = [
        header_line(storm, name, count).encode() + newline + lines[(end - count) * width : end * width]
        for storm, name, count, end in zip(storms, names, counts.tolist(), ends.tolist(), strict=True)
    ]
    text = b"".join(pieces)
    with whole_file(path) as temporary:
        temporary.write_bytes(text if layout.last_newline else text.removesuffix(newline))


def _check_columns(fixes: pd.DataFrame) -> None:
    for column in fixes.columns:
        if column not in COLUMNS:
            raise unknown("best track column", str(column), COLUMNS)
    missing = [column for column in _REQUIRED if column not in fixes]
    if missing:
        raise UserError(f"A best track needs the columns {', '.join(missing)}.")
    if fixes.empty:
        raise UserError("A best track needs at least one fix: the table is empty.")
    if not pd.api.types.is_datetime64_any_dtype(fixes["time"]):
        raise UserError(f"The best track column 'time' must hold datetime64 in UTC, not {fixes['time'].dtype}.")
    _check(fixes, "time", fixes["time"].isna().to_numpy(), "a time")
    _check(fixes, "time", fixes.duplicated(["storm", "time"]).to_numpy(), "given once for a storm")


def _check(fixes: pd.DataFrame, column: str, wrong: NDArray[np.bool_], expected: str) -> None:
    """Raise UserError for the first row that is wrong."""
    if wrong.any():
        storm, time, value = fixes[["storm", "time", column]].astype(object).iloc[int(np.argmax(wrong))]
        raise UserError(f"Storm '{storm}' at {time}: {column} is {value!r} and must be {expected}.")


def _names(fixes: pd.DataFrame, storms: Sequence[Any], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> list[str]:
    """Return the name of each storm; its fixes are the rows from start to end."""
    names = fixes["name"].to_numpy(object)
    for storm, start, end in zip(storms, starts, ends, strict=True):
        if not STORM.fullmatch(str(storm)):
            raise UserError(f"Storm '{storm}': must be an identifier such as AL092021 (basin, number, year).")
        name = names[start]
        if not (isinstance(name, str) and NAME.fullmatch(name) and len(name) <= _NAME_WIDTH):
            raise UserError(f"Storm '{storm}': its name must be 1 to {_NAME_WIDTH} printable characters, not {name!r}.")
        if (names[start:end] != name).any():
            raise UserError(f"Storm '{storm}' has more than one name: {sorted(set(map(str, names[start:end])))}.")
    return [str(names[start]) for start in starts]


def _block(fixes: pd.DataFrame) -> Block:
    """Bring a table to the values of its lines, checked and rounded."""
    numeric = fixes.reindex(columns=["latitude", "longitude", *NUMBERS])
    try:
        values = numeric.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise UserError(f"A best track's coordinates, winds, pressures and radii must be numbers: {error}.") from error
    latitude, longitude, numbers = values[:, 0], values[:, 1], np.rint(values[:, 2:])
    _check(fixes, "latitude", ~(np.abs(latitude) <= 90), "from -90 to 90 degrees north")
    _check(fixes, "longitude", ~(np.abs(longitude) <= 360), "from -360 to 360 degrees east")
    for place, column in enumerate(NUMBERS):
        largest = LARGEST_WIND if column == "wind_kt" else LARGEST_NUMBER
        wrong = (numbers[:, place] < 0) | (numbers[:, place] > largest)
        _check(fixes, column, wrong, f"from 0 to {largest}, or missing")
    tenths = np.rint(longitude * 10)
    beyond = (tenths < -1800) | (tenths >= 1800)
    return Block(
        time=_time(fixes),
        record=_places(fixes, "record", list(RECORDS)),
        status=_places(fixes, "status", list(STATUSES)),
        latitude=np.rint(latitude * 10) / 10,
        longitude=np.where(beyond, tenths - np.copysign(3600, tenths), tenths) / 10,
        numbers=numbers,
    )


def _time(fixes: pd.DataFrame) -> NDArray[np.datetime64]:
    time = fixes["time"].to_numpy("M8[ns]")
    _check(fixes, "time", time != time.astype("M8[m]"), "a whole minute")
    year = time.astype("M8[Y]").astype(np.int64) + 1970
    _check(fixes, "time", (year < FIRST_YEAR) | (year > LAST_YEAR), f"in a year from {FIRST_YEAR} to {LAST_YEAR}")
    return time.astype("M8[m]")


def _places(fixes: pd.DataFrame, column: str, known: list[str]) -> NDArray[np.integer]:
    places = pd.Index(known).get_indexer(pd.Index(fixes[column]))
    _check(fixes, column, places < 0, f"one of {' '.join(known).strip()}" + " or ''" * ("" in known))
    return places
