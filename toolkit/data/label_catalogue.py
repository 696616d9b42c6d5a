"""Extreme events as catalogues list them, by dates and boxes, and the label maps that these make.

Read are the table of a simulated world (events.csv: kind, start, end, latitude_min, latitude_max, longitude_min,
longitude_max) and the cases of ExtremeWeatherBench (YAML: start_date, end_date, event_type, and a location of type
bounded_region or centered_region). Times are UTC, both ends of an event belong to it, as in ExtremeWeatherBench.

Boxes run eastward from longitude_min. One whose longitude_max is smaller crosses Greenwich or the date line, as two
of ExtremeWeatherBench's do; where it would then be wider than half the globe the two are taken for swapped.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.label_kinds import kind_called
from toolkit.data.text_table import YEARS, read_text_table
from toolkit.errors import UserError

HOURS = 6
TIMES_AT_ONCE = 64
EDGES = ["latitude_min", "latitude_max", "longitude_min", "longitude_max"]
COLUMNS = ["name", "kind", "start", "end", *EDGES]
Axes = tuple[NDArray[np.float64], NDArray[np.float64]]


def catalogue_events(path: Path, left_out: Counter[str]) -> tuple[pd.DataFrame, tuple[pd.Timestamp, pd.Timestamp]]:
    """Return the events of a catalogue that are of a kind known here, and its first and last date, of all events.

    Columns: name, kind, start, end (UTC), latitude_min, latitude_max, west (degrees east), width (degrees eastward).
    Raises UserError for dates that cannot be read, for boxes that are none, and for a kind that nobody knows.
    """
    if not path.exists():
        raise UserError(f"There is no catalogue of events {path}.")
    events = _of_yaml(path, left_out) if path.suffix in (".yaml", ".yml") else _of_table(path)
    if events.empty:
        raise UserError(f"{path} lists no event.")
    _refuse_impossible(events, path)
    called = {row.kind: _kind_of(row, path) for row in events.drop_duplicates("kind").itertuples()}
    kinds = events["kind"].map(called)
    for name, count in events["kind"][kinds.isna()].value_counts().items():
        left_out[f"events of type {name}, which is none of the kinds of events"] += count
    width = (events["longitude_max"] - events["longitude_min"]).where(lambda wide: wide >= 0, lambda wide: wide % 360)
    span = events["start"].min(), events["end"].max()
    known = events.assign(kind=kinds, west=events["longitude_min"], width=width)[kinds.notna()]
    return known.drop(columns=["longitude_min", "longitude_max"]).reset_index(drop=True), span


def drawn(
    events: pd.DataFrame, span: tuple[pd.Timestamp, pd.Timestamp], kinds: Sequence[str], axes: Axes
) -> xr.Dataset:
    """Return label maps, six-hourly over `span`: 1 in the boxes of events while they last, else 0, made when read.

    `axes`: latitude and longitude, degrees. A cell belongs to a box that holds its centre; a box that holds none marks
    the cell nearest to its middle, and an event begins with the six-hourly time at or before its start.
    """
    latitude, longitude = axes
    first = span[0].floor(f"{HOURS}h")
    time = pd.date_range(first, span[1], freq=f"{HOURS}h").as_unit("ns")
    variables = {}
    for kind in kinds:
        mine = events[events["kind"] == kind]
        begin, end = ((mine[edge] - first) // pd.Timedelta(hours=HOURS) for edge in ("start", "end"))
        rows, columns = _boxes(mine, latitude, longitude)
        maps = _painted(len(time), begin.to_numpy(), end.to_numpy(), rows, columns)
        variables[kind] = (("time", "latitude", "longitude"), maps)
    return xr.Dataset(variables, {"time": time, "latitude": latitude, "longitude": longitude})


def _painted(
    times: int,
    begin: NDArray[np.integer],
    end: NDArray[np.integer],
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
) -> Any:
    """Return a lazy array (time, lat, lon) of boxes given by rows (n, lat) and columns (n, lon) at frames (n,)."""
    import dask.array as da

    def paint(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        block = np.zeros((len(numbers), rows.shape[1], columns.shape[1]), np.float32)
        for event in np.flatnonzero((begin <= numbers[-1]) & (end >= numbers[0])):
            there = slice(max(0, begin[event] - numbers[0]), end[event] - numbers[0] + 1)
            block[there, np.outer(rows[event], columns[event])] = 1.0
        return block

    numbers, empty = da.arange(times, chunks=TIMES_AT_ONCE), np.empty((0, 0, 0), np.float32)
    chunks = (numbers.chunks[0], rows.shape[1], columns.shape[1])
    return da.map_blocks(paint, numbers, dtype=np.float32, new_axis=[1, 2], chunks=chunks, meta=empty)


def _boxes(
    events: pd.DataFrame, latitude: NDArray[np.float64], longitude: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows (n, lat) and columns (n, lon) of the grid lie in each box, at least one of each."""
    south, north, west, width = (
        events[name].to_numpy(float)[:, None] for name in ("latitude_min", "latitude_max", "west", "width")
    )
    rounding = 1e-6
    rows = (latitude >= south - rounding) & (latitude <= north + rounding)
    columns = (longitude - west + rounding) % 360 <= width + 2 * rounding
    far_north = np.abs(latitude - (south + north) / 2)
    far_east = np.abs((longitude - west - width / 2 + 180) % 360 - 180)
    for inside, far in ((rows, far_north), (columns, far_east)):
        none = ~inside.any(1)
        inside[none, far[none].argmin(1)] = True
    return rows, columns


def _kind_of(event: Any, path: Path) -> str | None:
    try:
        return kind_called(event.kind)
    except UserError as error:
        raise UserError(f"{path}, {event.name}: {error}") from error


def _of_table(path: Path) -> pd.DataFrame:
    table = read_text_table(path)
    table = table.assign(name=table["event"] if "event" in table else table.index.map("line {}".format))
    if missing := [column for column in COLUMNS if column not in table]:
        needed = ", ".join(COLUMNS[1:])
        raise UserError(f"{path} is no table of events: it lacks {', '.join(missing)}. It needs the columns {needed}.")
    return _dated(table[COLUMNS], path)


def _of_yaml(path: Path, left_out: Counter[str]) -> pd.DataFrame:
    import yaml

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a day such as June 31
        raise UserError(f"{path} is not valid YAML: {error}.") from error
    cases = content.get("cases") if isinstance(content, dict) else content
    if not isinstance(cases, list):
        raise UserError(f"{path} is no list of events as ExtremeWeatherBench writes it.")
    rows = []
    for number, case in enumerate(cases):
        try:
            name = f"case {case.get('case_id_number', number)} ({case.get('title', 'untitled')})"
            place, edges = case["location"]["type"], case["location"].get("parameters", {})
            row = [name, str(case["event_type"]), case["start_date"], case["end_date"]]
            box = _box_of(place, edges)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"Case {number} of {path} is not as ExtremeWeatherBench writes it: {error!r}.") from error
        if box is None:
            left_out[f"events whose place is a {place}, which is not read"] += 1
        else:
            rows.append([*row, *box])
    return _dated(pd.DataFrame(rows, columns=COLUMNS), path)


def _box_of(place: str, parameters: dict[str, Any]) -> list[float] | None:
    """The edges of a region of ExtremeWeatherBench; a centred one is given by the full length of its sides."""
    if place == "bounded_region":
        return [float(parameters[edge]) for edge in EDGES]
    if place == "centered_region":
        high, wide = np.broadcast_to(np.asarray(parameters["bounding_box_degrees"], float), 2)
        lat, lon = float(parameters["latitude"]), float(parameters["longitude"])
        return [lat - high / 2, lat + high / 2, lon - wide / 2, lon + wide / 2]
    return None


def _dated(events: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The events with their dates as UTC without a zone, and their edges as numbers."""
    dates = {}
    for edge in ("start", "end"):
        text = events[edge].astype(str)
        dates[edge] = pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601").dt.tz_localize(None)
        if (wrong := ~dates[edge].dt.year.between(*YEARS)).any():
            row = int(np.argmax(wrong))
            name = events["name"].iloc[row]
            raise UserError(
                f"{path}, {name}: {edge} '{text.iloc[row]}' is not a date of the years {YEARS[0]} to {YEARS[1]}. "
                "Write it as 2021-06-20 00:00."
            )
    numbers = {edge: pd.to_numeric(events[edge], errors="coerce") for edge in EDGES}
    return events.assign(**dates, **numbers)


def _refuse_impossible(events: pd.DataFrame, path: Path) -> None:
    south, north, west, east = (events[edge] for edge in EDGES)
    eastward = (east - west).where(east >= west, (east - west) % 360)
    swapped = (east < west) & (eastward > 180)
    for wrong, problem in (
        (events["end"] < events["start"], "ends before it starts"),
        (events[EDGES].isna().any(axis=1), "has an edge that is no number"),
        (south > north, "has a latitude_min north of its latitude_max: swap them"),
        ((south < -90.5) | (north > 90.5), "reaches beyond a pole"),
        (swapped, "has a longitude_min east of its longitude_max, by more than half the globe: swap them"),
        (eastward > 360, "is wider than the globe"),
    ):
        if wrong.any():
            event = events.iloc[int(np.argmax(wrong))]
            box = ", ".join(f"{edge} {event[edge]:g}" for edge in EDGES)
            raise UserError(f"{path}, {event['name']}: the event {problem} ({event.start} to {event.end}; {box}).")
