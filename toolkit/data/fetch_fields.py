"""Fields from a Zarr such as Google's copy of ERA5: a selection, saved in pieces that resume, whole or not at all."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit import files
from toolkit.data.coordinates import LATITUDE_NAMES, LEVEL_NAMES, LONGITUDE_NAMES, TIME_NAMES, coordinate_called
from toolkit.data.fetch import Progress, no_progress
from toolkit.errors import UserError, unknown

if TYPE_CHECKING:
    from xarray import Dataset

_TIMES_PER_CHUNK = 24
HIGHEST_HPA = 1100
"""Levels with larger numbers are in Pa."""


@dataclass(frozen=True)
class Selection:
    """What to take out of a Zarr of fields (time, level, latitude, longitude), under any name that axes go by.

    variables: names in the Zarr; start, end: ISO times, a date means all of that day; region: (south, north, west,
    east) in degrees; level_hpa None takes all levels, if there are any.
    """

    variables: tuple[str, ...]
    start: str
    end: str
    every_hours: int = 6
    level_hpa: float | None = None
    region: tuple[float, float, float, float] = (-90.0, 90.0, 0.0, 360.0)


def fetch_fields(
    address: str, path: Path, selection: Selection, offline: bool = False, progress: Progress = no_progress
) -> Path:
    """Save a selection of the Zarr at `address` as a Zarr at `path`, a day's worth of frames at a time.

    The folder appears when it is complete; what an interrupted call left (`.part`) is continued. progress counts
    times. Raises UserError for a Zarr that cannot be opened, or a selection of what is not in it.
    """
    asked = json.dumps({"address": address, **asdict(selection)})
    if path.exists():
        if _open(str(path)).attrs.get("selection") != asked:
            raise UserError(f"{path} is there with something else in it. Remove it, or save elsewhere.")
        return path
    if offline and "://" in address:
        raise UserError(f"{path} is missing, and offline nothing is fetched. Run once without it, from {address}.")
    chosen = _select(_open(address), address, selection).assign_attrs(selection=asked)
    part, note = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.done")
    if not (note.exists() and _open(str(part)).attrs["selection"] == asked):
        _lay_out(chosen, part)
        files.write_text(note, "0")
    times = chosen.sizes["time"]
    for start in range(int(note.read_text()), times, _TIMES_PER_CHUNK):
        stop = min(start + _TIMES_PER_CHUNK, times)
        block = chosen.isel(time=slice(start, stop)).load()
        fixed = [name for name, variable in block.variables.items() if "time" not in variable.dims]
        block.drop_vars(fixed).to_zarr(part, region={"time": slice(start, stop)})
        files.write_text(note, str(stop))
        progress(stop, times)
    part.replace(path)
    note.unlink()
    return path


def _lay_out(chosen: "Dataset", part: Path) -> None:
    """Write the Zarr's coordinates and metadata, without values, in place of what was there."""
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    chunks = {name: _TIMES_PER_CHUNK if name == "time" else -1 for name in chosen.dims}
    chosen.chunk(chunks).to_zarr(part, mode="w", zarr_format=2, compute=False)


def _open(address: str) -> "Dataset":
    import xarray

    options: dict[str, Any] = {"storage_options": {"token": "anon"}} if address.startswith("gs://") else {}
    try:
        # Without dask: its graph of a million hours takes longer to build than a day of data to load.
        return xarray.open_dataset(address, engine="zarr", chunks=None, **options)
    except ImportError as error:
        package = {"gs": "'earth-toolkit[era5]'", "s3": "s3fs"}.get(address.split(":")[0], "aiohttp")
        raise UserError(f"Reading {address} needs more packages: pip install {package}") from error
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"Cannot open {address} as Zarr ({error}). Check the address and the connection.") from error


def _select(fields: "Dataset", address: str, selection: Selection) -> "Dataset":
    for name in selection.variables:
        if name not in fields.data_vars:
            raise unknown(f"variable in {address}", name, map(str, fields.data_vars))
    fields = _on_axes(fields[list(selection.variables)].drop_encoding(), address)
    if selection.level_hpa is not None:
        fields = _at_level(fields, address, selection.level_hpa)
    first, last = (_day(str(fields["time"].to_numpy()[i])) for i in (0, -1))
    first = max(first, _day(fields.attrs.get("valid_time_start", str(first))))
    last = min(last, _day(fields.attrs.get("valid_time_stop", str(last))))
    if not first <= _day(selection.start) <= _day(selection.end) <= last:
        raise UserError(f"Cannot take {selection.start} to {selection.end}: {address} goes from {first} to {last}.")
    fields = fields.sel(time=slice(selection.start, selection.end))
    south, north, west, east = selection.region
    hours = (fields["time"].to_numpy() - np.datetime64(selection.start)) / np.timedelta64(1, "h")
    latitude, eastward = fields["latitude"].to_numpy(), (fields["longitude"].to_numpy() - west) % 360
    width = east - west if east > west else east - west + 360
    places = {
        "time": np.flatnonzero(hours % selection.every_hours == 0),
        "latitude": np.flatnonzero((latitude >= south) & (latitude <= north)),
        "longitude": np.flatnonzero(eastward <= width),
    }
    for name, indices in places.items():
        if not indices.size:
            raise UserError(f"Nothing in {address} has a {name} as asked for: {selection}.")
    return fields.isel(places)


def _on_axes(fields: "Dataset", address: str) -> "Dataset":
    """The fields on dimensions called time, latitude and longitude, whatever they were called."""
    for axis, names in {"time": {*TIME_NAMES}, "latitude": LATITUDE_NAMES, "longitude": LONGITUDE_NAMES}.items():
        found = coordinate_called(fields, names, axis)
        if found is None or fields[found].ndim != 1:
            held = ", ".join(f"'{name}' {fields[name].dims}" for name in fields.coords) or "none"
            raise UserError(f"{address} has no coordinate '{axis}' of one dimension. Its coordinates: {held}.")
        if found != axis:
            fields = fields.drop_vars(axis, errors="ignore").swap_dims({fields[found].dims[0]: found})
            fields = fields.rename({found: axis})
    return fields


def _at_level(fields: "Dataset", address: str, level_hpa: float) -> "Dataset":
    found = coordinate_called(fields, LEVEL_NAMES, "air_pressure")
    if found is None:
        raise UserError(f"{address} has no pressure levels of which {level_hpa:g} hPa could be taken. Name no level.")
    levels = np.atleast_1d(fields[found].to_numpy()).astype(float)
    levels = levels / 100 if levels.max() > HIGHEST_HPA else levels
    if level_hpa not in levels:
        known = ", ".join(f"{level:g}" for level in levels)
        raise UserError(f"No level {level_hpa:g} hPa in {address}. Known: {known}.")
    return fields.isel({name: int(np.argmax(levels == level_hpa)) for name in fields[found].dims})


def _day(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "D")
    except ValueError as error:
        raise UserError(f"'{text}' is not a date. Write it as in 2020-08-31 or 2020-08-31T06.") from error
