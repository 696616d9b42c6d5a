"""Writing a simulated world as a folder in the formats of the real one.

fields.zarr         ERA5's layout and names, packed as 16-bit integers, NaN in the gaps
hurdat2.txt         the best track, in NHC's layout; empty where no cyclone became a storm
stations.csv        hourly ozone at stations (ppb; an empty field was not measured); stations_meta.csv describes them
events.csv          extreme events, one row per event and day
extremes.nc         the cells of these events every six hours on the 2.8 degree grid they are found on, in the layout of
                    ClimateNetLarge (Kim et al. 2025, doi:10.1038/s41597-025-05480-0): the variable `label` with
                    dimensions (time, class, annotator, latitude, longitude), 1 where the kind of event that the
                    coordinate `class` names is, else 0; here uint8, by one annotator, the definitions of the events
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from toolkit.data.best_track import write_best_track
from toolkit.data.label_kinds import KINDS
from toolkit.data.world.best_track import best_track_of
from toolkit.data.world.observe import VARIABLES, regular_axes
from toolkit.data.world.season import frame_times, season_start
from toolkit.data.world.simulate import GAP, PACKING, SIZES, Seen, Size, simulate, size_named
from toolkit.data.world.stations import stations_of
from toolkit.errors import UserError
from toolkit.files import whole_folder

__all__ = ["SIZES", "Size", "check_empty", "size_named", "write_fields", "write_world"]

LEVEL_HPA = 850
ATTRIBUTES = {
    "vorticity": ("s**-1", "atmosphere_relative_vorticity"),
    "divergence": ("s**-1", "divergence_of_wind"),
    "u_component_of_wind": ("m s**-1", "eastward_wind"),
    "v_component_of_wind": ("m s**-1", "northward_wind"),
    "geopotential": ("m**2 s**-2", "geopotential"),
}
TIME_ENCODING: dict[str, Any] = {"units": "hours since 1900-01-01", "dtype": "int64"}
MISSING = "NaN marks places where nothing was observed"


def write_world(folder: Path, size: Size, seed: int, progress: Callable[[float], None] = lambda _: None) -> Path:
    """Simulate and write a world into `folder`; the same seed gives the same bytes on the same kind of processor.

    `progress` is called with the share of the work done. Raises `UserError` where `folder` holds something.
    """
    check_empty(folder)
    name = next((name for name, known in SIZES.items() if known == size), "custom")
    about = {"source": "simulated shallow water", "size": name, "seed": seed, "missing_data": MISSING}
    with whole_folder(folder) as temporary:  # entered first, so that a place that cannot be written says so at once
        seen = simulate(size, seed, progress)
        fields = temporary / "fields.zarr"
        write_fields(fields, np.concatenate([part.packed for part in seen]), VARIABLES, _times(seen), about)
        _write_storms(temporary / "hurdat2.txt", best_track_of([part.season for part in seen]))
        stations_of(seed).to_csv(temporary / "stations_meta.csv", index=False)
        for file, tables in (("stations.csv", [s.ozone for s in seen]), ("events.csv", [s.events.table for s in seen])):
            pd.concat(tables, ignore_index=True).to_csv(temporary / file, index=False)
        _write_extremes(temporary / "extremes.nc", seen, about)
    return folder


def check_empty(folder: Path) -> None:
    """Raise `UserError` where a folder for a world holds something."""
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} exists and is not empty: choose another folder, or remove it first.")


def _write_storms(path: Path, fixes: pd.DataFrame) -> None:
    """Write the best track; of a world without a storm an empty file, since the format has no line that says so."""
    if fixes.empty:
        path.touch()
    else:
        write_best_track(path, fixes)


def write_fields(
    path: Path, packed: np.ndarray, variables: Sequence[str], times: np.ndarray, about: dict[str, Any]
) -> None:
    """Write packed fields (time, variable, lat, lon), int16 in steps of `PACKING`, as a Zarr in ERA5's layout.

    `times` datetime64[ns] (time,); the axes are those of the regular grid, the global attributes are `about`.
    """
    coordinates = _coordinates(times, packed.shape[-2])
    coordinates["level"] = ("level", np.array([LEVEL_HPA]), {"units": "hPa"})
    fields = {}
    for index, name in enumerate(variables):
        units, standard_name = ATTRIBUTES[name]
        packing = {"scale_factor": PACKING[name], "_FillValue": GAP}
        attributes = {"units": units, "standard_name": standard_name, **packing}
        fields[name] = (("time", "level", "latitude", "longitude"), packed[:, index, None], attributes)
    dataset = xr.Dataset(fields, coordinates, about)
    encoding: dict[str, Any] = {name: {"chunks": (16, 1, *packed.shape[2:])} for name in variables}
    encoding["time"] = TIME_ENCODING
    dataset.to_zarr(path, mode="w", consolidated=False, encoding=encoding)


def _write_extremes(path: Path, seen: Sequence[Seen], about: dict[str, Any]) -> None:
    masks = np.concatenate([part.events.masks for part in seen])[:, :, None].astype(np.uint8)
    coordinates = _coordinates(_times(seen), masks.shape[-2]) | {"class": list(KINDS), "annotator": [0]}
    dimensions = ("time", "class", "annotator", "latitude", "longitude")
    attributes = {"long_name": "cells of extreme events", "flag_values": [0, 1], "flag_meanings": "absent present"}
    kept = {name: value for name, value in about.items() if name != "missing_data"}
    dataset = xr.Dataset({"label": (dimensions, masks, attributes)}, coordinates, kept)
    chunks = (min(16, len(masks)), 1, 1, *masks.shape[-2:])
    encoding = {
        "label": {"zlib": True, "complevel": 5, "chunksizes": chunks, "_FillValue": None},
        "time": TIME_ENCODING,
    }
    dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)


def _times(seen: Sequence[Seen]) -> np.ndarray:
    return np.concatenate([frame_times(season_start(part.season.year), len(part.packed)) for part in seen])


def _coordinates(times: np.ndarray, rows: int) -> dict[str, Any]:
    """Return the times and the axes of the regular grid with `rows` latitudes."""
    latitude, longitude = regular_axes(rows)
    return {
        "time": times,
        "latitude": ("latitude", latitude, {"units": "degrees_north"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east"}),
    }
