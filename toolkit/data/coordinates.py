"""From the axes that files have to the canonical ones: latitude north first, longitude in [0, 360), dated time.

What had to be assumed is added to `notes`, one sentence each; `source` names the file in errors.
"""

import re
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from toolkit.errors import UserError

Notes = list[str]
TIME_NAMES = ("valid_time", "time", "datetime", "date")
LEVEL_NAMES = {"level", "pressure_level", "isobaricinhpa", "isobaricinpa", "plev", "lev", "pressure", "air_pressure"}
LARGEST_JUMP = 1.5
"""Times the step beside it that a step along an axis may be; those of a Gaussian or Mercator grid change slowly."""
LATITUDE_NAMES, LONGITUDE_NAMES = {"latitude", "lat"}, {"longitude", "lon"}
_REGRID = "Regrid it first; of data from MARS, ask for a grid, such as grid=0.25/0.25."


def coordinate_called(ds: xr.Dataset, names: set[str], standard_name: str) -> str | None:
    """The coordinate known by one of these names (in small letters), else by its CF standard name."""
    coordinates = [str(name) for name in ds.coords]
    by_name = [name for name in coordinates if name.lower() in names]
    by_standard_name = [name for name in coordinates if ds[name].attrs.get("standard_name") == standard_name]
    return next(iter(by_name + by_standard_name), None)


def with_axis(ds: xr.Dataset, old: str, new: str, values: NDArray[Any]) -> xr.Dataset:
    """The dataset with the one-dimensional coordinate `old` replaced by `new`, which names the dimension too."""
    dimension = ds[old].dims[0]
    ds = ds.drop_vars({old, dimension, new} & set(ds.coords))
    return ds.rename_dims({} if dimension == new else {dimension: new}).assign_coords({new: values})


def _first(problem: NDArray[np.bool_], values: NDArray[Any]) -> str:
    """The first pair of neighbours for which `problem` is true."""
    place = int(np.argmax(problem))
    return f"{values[place]} is followed by {values[place + 1]} (position {place})"


def on_latitude_longitude(ds: xr.Dataset, source: str, notes: Notes) -> xr.Dataset:
    """The dataset on `latitude`, north to south, and `longitude`, ascending in [0, 360), whatever they were called.

    Raises UserError for axes that are missing or empty, in radians, not of one dimension each, out of order, or with a
    gap.
    """
    for axis, names in (("latitude", LATITUDE_NAMES), ("longitude", LONGITUDE_NAMES)):
        found = _readable_axis(ds, axis, names, source)
        ds = with_axis(ds, found, axis, np.round(ds[found].values.astype(float), 6))
    latitude = ds["latitude"].values
    if (beyond := ~(np.abs(latitude) <= 90)).any():
        raise UserError(f"Latitudes of {source} are to be within -90 to 90, not {latitude[beyond][0]}.")
    steps = np.diff(latitude)
    if (astray := _astray(steps)).any():
        raise UserError(
            f"Latitudes of {source}, {latitude[0]} to {latitude[-1]}, are not in order from pole to pole: "
            f"{_first(astray, latitude)}."
        )
    _refuse_jump("latitudes", latitude, source)
    if (steps > 0).any():
        ds = ds.isel(latitude=slice(None, None, -1))
    around = ds["longitude"].values
    longitude = np.unwrap(around, period=360)
    said = f"Longitudes of {source}, {around[0]} to {around[-1]}, are not in order once round the globe"
    if (astray := _astray(np.diff(longitude))).any():
        raise UserError(f"{said}: {_first(astray, around)}.")
    _refuse_jump("longitudes", longitude, source)
    if (width := abs(longitude[-1] - longitude[0])) > 360 + 1e-6:
        raise UserError(f"{said}: they span {width:g} degrees.")
    if abs(abs(longitude[-1] - longitude[0]) - 360) < 1e-6:
        notes.append(f"longitude {around[-1]:g} repeats the first one and is left out")
        ds = ds.isel(longitude=slice(None, -1))
    ds = ds.assign_coords(longitude=np.round(ds["longitude"].values, 6) % 360)
    order = np.argsort(ds["longitude"].values)
    return ds if (np.diff(order) > 0).all() else ds.isel(longitude=order)


def _readable_axis(ds: xr.Dataset, axis: str, names: set[str], source: str) -> str:
    """The name of a coordinate of parallels or meridians, in degrees; `UserError` where there is none."""
    found = coordinate_called(ds, names, axis)
    if found is None:
        held = ", ".join(f"'{name}'" for name in {*ds.dims, *ds.coords}) or "none"
        remedy = f" {_REGRID}" if "values" in ds.dims else ""  # as cfgrib calls spherical harmonics
        raise UserError(f"{source} has no coordinate '{axis}'. Its coordinates and dimensions: {held}.{remedy}")
    if ds[found].ndim != 1:
        raise UserError(
            f"Coordinate '{found}' of {source} has {ds[found].ndim} dimensions. Only grids of parallels and "
            f"meridians can be read. {_REGRID}"
        )
    if ds[found].dims == ("latitude",) and axis == "longitude":
        raise UserError(
            f"{source} has one dimension for latitude and longitude together, as unstructured and reduced Gaussian "
            f"grids have it. Only grids of parallels and meridians can be read. {_REGRID}"
        )
    if not ds[found].size:
        raise UserError(f"{source} holds no grid point: its coordinate '{found}' is empty.")
    if str(unit := ds[found].attrs.get("units", "")).lower().startswith("rad"):
        raise UserError(f"Coordinate '{found}' of {source} is in '{unit}'. Convert it to degrees.")
    return found


def _astray(steps: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which steps along an axis do not go the way that the axis goes from its first to its last value."""
    return (np.sign(steps) != np.sign(np.nansum(steps))) | (steps == 0)


def _refuse_jump(axis: str, values: NDArray[np.floating], source: str) -> None:
    """Refuse an axis that lacks some of its points: what lies across the gap would be taken for what lies beside."""
    steps = np.abs(np.diff(values))
    beside = np.maximum(np.append(steps[1:], 0.0), np.insert(steps[:-1], 0, 0.0))
    jumps = np.flatnonzero((steps > LARGEST_JUMP * beside) & (beside > 0))
    if jumps.size:
        k = jumps[0]
        raise UserError(
            f"The {axis} of {source} jump from {values[k]:g} to {values[k + 1]:g} degrees and are {beside[k]:g} apart "
            f"beside. Give all that lie between."
        )


def on_time(ds: xr.Dataset, source: str, notes: Notes) -> xr.Dataset:
    """The dataset on `time`, ascending datetime64[ns]; variables that have none beside others that have are left out.

    Raises UserError where there is no time, nor one date in the name of `source`, and for times that are not dates of
    the years 1678 to 2261, out of order or there twice.
    """
    found = next((name for name in TIME_NAMES if name in ds.coords), None) or coordinate_called(ds, set(), "time")
    if found is None:
        moment = time_in_name(source)
        if moment is None:
            raise UserError(
                f"{source} has no time: neither a coordinate 'time' or 'valid_time' nor one date in its name. "
                f"Add the coordinate, or put the time in the name, as in _YYYYMMDDHH."
            )
        notes.append(f"the time {moment}Z is taken from the file name of {source}")
        return ds.expand_dims(time=np.array([moment], "datetime64[ns]"))
    if ds[found].ndim > 1:
        ds = ds.squeeze([dimension for dimension in ds[found].dims if ds.sizes[dimension] == 1])
    if ds[found].ndim > 1:
        raise UserError(f"{source} holds several lead times for each start of a forecast. Pick one step and save that.")
    if not ds[found].size:
        raise UserError(f"{source} holds no time: its coordinate '{found}' is empty.")
    times = _dates(ds[found], source, notes)
    if ds[found].ndim == 0:
        ds = ds.drop_vars(found).drop_vars("time", errors="ignore").expand_dims(time=times.reshape(1))
    else:
        ds = with_axis(ds, found, "time", times)
        timeless = [name for name in ds.data_vars if "time" not in ds[name].dims]
        notes.extend(f"variable '{name}' of {source} has no time and is left out" for name in timeless)
        ds = ds.drop_vars(timeless)
    steps = np.diff(times.reshape(-1))
    if (steps == np.timedelta64(0)).any():
        raise UserError(f"A time of {source} is there twice: {_first(steps == np.timedelta64(0), times)}.")
    if steps.size and (steps < np.timedelta64(0)).all():
        ds = ds.isel(time=slice(None, None, -1))
    elif not (steps > np.timedelta64(0)).all():
        raise UserError(f"Times of {source} are not in order: {_first(~(steps > np.timedelta64(0)), times)}.")
    if {"valid_time_start", "valid_time_stop"} <= set(ds.attrs):
        # ARCO-ERA5's time axis runs on into years that are still empty.
        ds = ds.sel(time=slice(ds.attrs["valid_time_start"], ds.attrs["valid_time_stop"]))
    return ds


def _dates(axis: xr.DataArray, source: str, notes: Notes) -> NDArray[np.datetime64]:
    values = axis.values
    if all(isinstance(value, str) for value in values.flat):
        values = _written_dates(values, notes)
    calendar = getattr(values.flat[0], "calendar", None)
    if calendar is not None:
        try:
            index = xr.CFTimeIndex(values.ravel()).to_datetimeindex(unsafe=True, time_unit="us")
        except ValueError as error:
            raise UserError(
                f"Times of {source} are in the calendar '{calendar}', which has days the real one has not: {error}. "
                f"Convert it first, for example with xarray's convert_calendar."
            ) from error
        notes.append(f"times of {source} are in the calendar '{calendar}' and are read as dates of the real one")
        values = index.values.reshape(values.shape)
    if values.dtype.kind != "M" or np.isnat(values).any():
        raise UserError(
            f"Coordinate '{axis.name}' of {source} holds {values.dtype} values that are not all dates: {values}. "
            f"Give it a CF unit such as 'hours since 1900-01-01'."
        )
    try:
        return pd.DatetimeIndex(values.ravel()).as_unit("ns").to_numpy().reshape(values.shape)
    except pd.errors.OutOfBoundsDatetime as error:
        raise UserError(
            f"Times of {source} go from {values.min()} to {values.max()}: only the years 1678 to 2261 can be read. "
            f"Give them years within these."
        ) from error


def _written_dates(values: NDArray[Any], notes: Notes) -> NDArray[Any]:
    """Times written in ISO 8601, a zone of their own included, or else as names; what is neither stays as it is."""
    try:
        written = pd.to_datetime(values.ravel(), utc=True, format="ISO8601")
        return written.tz_localize(None).to_numpy().reshape(values.shape)
    except ValueError:
        moments = [time_in_name(value) for value in values.flat]
    if None in moments:
        return values
    notes.append("times are taken from names in place of dates; where a name gives the day alone, 00 UTC is meant")
    return np.array(moments, "datetime64[m]").reshape(values.shape)


def time_in_name(source: str) -> np.datetime64 | None:
    """The one date in a file name, as in era5_2025120100.nc, 2005-01-23-0000-u.nc or 2021-05-24T18:00:00.nc.

    ClimateNet's names, as data-1996-06-09-01-1.nc, go on with digits that are not documented, so no hour is read there.
    """
    name = re.sub(r"(?<=data-\d{4}-\d{2}-\d{2})-\d{2}-\d+(?!\d)", "", last_part(source))
    pattern = r"(?<!\d)(\d{4})([-_]?)(\d{2})\2(\d{2})(?:[-_T]?([01]\d|2[0-3]):?([0-5]\d)?(?!\d|-\d{2}))?(?!\d)"
    moments = set()
    for year, _, month, day, hour, minute in re.findall(pattern, name):
        try:
            moments.add(datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0)))
        except ValueError:
            continue
    return np.datetime64(moments.pop(), "m") if len(moments) == 1 else None


def last_part(source: str) -> str:
    """The name of a file without its folders, on any system."""
    return re.split(r"[/\\]", source.rstrip("/\\"))[-1]
