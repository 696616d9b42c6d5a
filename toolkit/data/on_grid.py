"""Whole datasets on another grid, a time at a time when they are asked for: fields for a backbone, maps for windows."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.grids import SAME_SPACING
from toolkit.data.regrid import LEAST_KNOWN, ROUNDING, Regridding, regridded, regridding
from toolkit.data.store import Store
from toolkit.errors import UserError

GRID = ["latitude", "longitude"]


def fields_on_grid(fields: xr.Dataset, degrees: float) -> xr.Dataset:
    """Return fields (time, latitude, longitude) on the regular grid of a spacing, cut to the region they cover.

    Fields that are on such a grid stay as they are. What was done is added to the attribute `assumptions`. Raises
    `UserError` where the fields cover no point of the grid, and, when they are computed, for NaN that is not declared
    and for infinity, which the means would hide.
    """
    latitude, longitude = (fields[axis].to_numpy() for axis in GRID)
    spacings = [float(np.median(np.abs(np.diff(axis)))) for axis in (latitude, longitude)]
    if all(abs(spacing / degrees - 1) <= SAME_SPACING for spacing in spacings):
        return fields
    way, source = regridding(latitude, longitude, degrees), fields.attrs.get("source", "The fields")
    if not way.covered.any():
        raise UserError(f"{source} cover no point of a {degrees:g} degree grid.")
    may_lack = bool(fields.attrs.get("missing_data", False))

    def move(field: NDArray, way: Regridding) -> NDArray[np.float32]:
        if count := np.count_nonzero(np.isinf(field) if may_lack else ~np.isfinite(field)):
            raise UserError(
                f"{source}: a field holds {count} values that are NaN or infinite. Repair the source, or, where NaN "
                "means missing data, declare it (missing_data)."
            )
        return regridded(field, way)

    moved = _moved(fields, way, move)
    rows, columns = np.flatnonzero(way.covered.any(1)), np.flatnonzero(way.covered.any(0))
    inside = {"latitude": slice(rows[0], rows[-1] + 1), "longitude": slice(columns[0], columns[-1] + 1)}
    attributes = fields.attrs | {"assumptions": (*fields.attrs.get("assumptions", ()), way.method)}
    if not way.covered[inside["latitude"], inside["longitude"]].all():
        attributes |= {"missing_data": "NaN marks what the source does not cover"}
    return moved.isel(inside).assign_attrs(attributes)


def maps_on_grid(maps: xr.Dataset, like: Store) -> xr.Dataset:
    """Return maps of shares, 0 to 1, on the grid of a store: means over its cells, between points linear.

    A cell is known where half of what it takes in is.
    """
    latitude, longitude = (maps[axis].to_numpy() for axis in GRID)
    way = regridding(latitude, longitude, like.latitude_spacing)
    moved = _moved(maps, way, _shares)
    rows = np.abs(way.latitude[:, None] - like.latitude).argmin(0)
    columns = np.abs((way.longitude[:, None] - like.longitude + 180) % 360 - 180).argmin(0)
    placed = moved.isel(latitude=rows, longitude=columns).assign_coords(
        latitude=like.latitude, longitude=like.longitude
    )
    return placed.assign_attrs(maps.attrs | {"missing_data": "NaN marks what nobody labelled"})


def _moved(fields: xr.Dataset, way: Regridding, move: Any) -> xr.Dataset:
    """Return fields moved one time after the other, when they are computed."""

    def each(values: NDArray) -> NDArray[np.float32]:
        flat = values.reshape(-1, *values.shape[-2:])
        out = [move(field, way) for field in flat]
        return np.stack(out).reshape(*values.shape[:-2], *way.covered.shape)

    moved = xr.apply_ufunc(
        each,
        fields,
        input_core_dims=[GRID],
        output_core_dims=[GRID],
        exclude_dims=set(GRID),
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": dict(zip(GRID, way.covered.shape, strict=True)), "allow_rechunk": True},
        output_dtypes=[np.float32],
        keep_attrs=True,
    )
    return moved.assign_coords(latitude=way.latitude, longitude=way.longitude)


def _shares(field: NDArray[np.floating], way: Regridding) -> NDArray[np.float32]:
    known = np.isfinite(field)
    total = way.rows_with_gaps @ np.where(known, field, 0.0) @ way.columns_with_gaps.T
    weight = way.rows_with_gaps @ known @ way.columns_with_gaps.T
    enough = weight >= LEAST_KNOWN - ROUNDING
    return np.divide(total, weight, out=np.full(total.shape, np.nan), where=enough).astype(np.float32)
