"""From any field file to one canonical Dataset: opening it, and picking the fields a training store is made of."""

import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from toolkit.data.dialects import VARIABLES, canonical, recognised
from toolkit.data.dynamics import derivation
from toolkit.data.reading import reading
from toolkit.errors import UserError, unknown

CHUNK_BYTES = 64_000_000
DERIVED_AT_ONCE_BYTES = 32_000_000
DERIVED = ("vorticity", "divergence")
WINDS = ("eastward_wind", "northward_wind")


def open_source(path_or_url: str | Path, stand_ins: Mapping[str, str] | None = None) -> xr.Dataset:
    """Open Zarr (a folder or a URL), NetCDF or GRIB as the canonical Dataset of `toolkit.data.dialects`, lazily.

    stand_ins: variables to be read under other names where the source holds no winds, vorticity or divergence.

    `assumptions` in its attributes lists, in sentences, what the file itself does not say; `missing_data` is passed on
    from the file, where it declares that NaN marks gaps. Raises UserError for a file that is missing, damaged or in no
    format we read, that holds none of our variables, or whose coordinates or units are not clear.
    """
    address = str(path_or_url)
    raws = _opened(address)
    raws, stood_in = _with_stand_ins(raws, stand_ins or {}, address)
    parts = [canonical(_in_chunks(raw[list(names)]), address) for raw in raws if (names := recognised(raw))]
    if not parts:
        there = ", ".join(sorted({f"'{name}'" for raw in raws for name in raw.data_vars})) or "nothing"
        raise UserError(f"{address} holds none of {', '.join(VARIABLES)}, under any name we know. It holds: {there}.")
    held = [str(name) for part in parts for name in part.data_vars]
    if len(set(held)) < len(held):
        raise UserError(f"{address} holds {max(held, key=held.count)} in several parts, which differ: split the file.")
    try:
        whole = xr.merge([part.drop_attrs(deep=False) for part in parts], join="exact", compat="minimal")
    except ValueError as error:
        raise UserError(f"The fields of {address} are on several grids, times or levels: split the file.") from error
    assumptions = (*stood_in, *(sentence for part in parts for sentence in part.attrs["assumptions"]))
    return whole.assign_attrs(parts[0].attrs | {"assumptions": assumptions})


def _with_stand_ins(
    raws: list[xr.Dataset], stand_ins: Mapping[str, str], address: str
) -> tuple[list[xr.Dataset], list[str]]:
    """The datasets with stand-ins under the names they stand for, and a sentence for each."""
    held = {name for raw in raws for name, _ in recognised(raw).values()}
    if held & {*WINDS, *DERIVED}:
        return raws, []
    there = [{old: new for old, new in stand_ins.items() if old in raw} for raw in raws]
    notes = [f"variable '{old}' of {address} stands in for '{new}'" for names in there for old, new in names.items()]
    return [raw.rename(names) for raw, names in zip(raws, there, strict=True)], notes


def select_fields(ds: xr.Dataset, variables: list[str] | tuple[str, ...], level_hpa: float) -> xr.Dataset:
    """Return `variables` of a canonical Dataset at one level, with dimensions (time, latitude, longitude).

    Vorticity and divergence that are not there are derived from the winds. Whether the winds have gaps decides how,
    so they are read once to see, unless the source declares `missing_data`. Raises UserError for a variable that is
    neither there nor can be derived, and for a level that is not there.
    """
    notes: list[str] = []
    fields = {name: _at_level(ds, name, level_hpa, notes) for name in variables if name in ds}
    if any(name not in fields for name in variables):
        for name in variables:
            _require_derivable(ds, name)
        winds = [_at_level(ds, name, level_hpa, notes) for name in WINDS]
        fields |= {name: field for name, field in _derived(ds, winds, notes).items() if name not in fields}
    # What was read and what was derived may be chunked apart, and blocks of times need one cut for all.
    result = xr.Dataset({name: fields[name] for name in variables}).unify_chunks()
    result.attrs = ds.attrs | {"assumptions": tuple(dict.fromkeys((*ds.attrs.get("assumptions", ()), *notes)))}
    return result


def _require_derivable(ds: xr.Dataset, name: str) -> None:
    source = ds.attrs.get("source", "The dataset")
    if name not in VARIABLES:
        raise unknown("variable", name, VARIABLES)
    if name not in ds and not (name in DERIVED and set(WINDS) <= set(ds.data_vars)):
        remedy = ", nor the winds (eastward_wind and northward_wind) to derive it from" if name in DERIVED else ""
        raise UserError(f"{source} holds no {name}{remedy}. It holds: {', '.join(map(str, ds.data_vars))}.")


def _at_level(ds: xr.Dataset, name: str, level_hpa: float, notes: list[str]) -> xr.DataArray:
    field, source = ds[name], ds.attrs.get("source", "The dataset")
    if "level" not in field.dims:
        if VARIABLES[name].on_levels:
            notes.append(f"{name} of {source} names no level and is taken to be at the {level_hpa:g} hPa asked for")
        return field
    levels = np.asarray(field.attrs.get("levels_hpa", field["level"].values), float)
    if level_hpa not in levels:
        nearest = levels[np.argmin(np.abs(levels - level_hpa))]
        raise UserError(
            f"No level {level_hpa:g} hPa of {name} in {source}. Did you mean {nearest:g} hPa? "
            f"Levels: {', '.join(f'{level:g}' for level in levels)}."
        )
    field = field.sel(level=level_hpa, drop=True)
    field.attrs.pop("levels_hpa", None)
    return field


def _derived(ds: xr.Dataset, winds: list[xr.DataArray], notes: list[str]) -> dict[str, xr.DataArray]:
    """Vorticity and divergence of the winds, in chunks of several times so that Legendre tables serve many fields."""
    latitude, longitude = ds["latitude"].values, ds["longitude"].values
    times = max(1, DERIVED_AT_ONCE_BYTES // (winds[0].dtype.itemsize * latitude.size * longitude.size))
    if winds[0].chunks is not None:
        winds = [wind.chunk(time=times, latitude=-1, longitude=-1) for wind in winds]
    with reading(ds.attrs.get("source", "the dataset")):
        complete = "missing_data" not in ds.attrs and bool((np.isfinite(winds[0]) & np.isfinite(winds[1])).all())
    method, sentence = derivation(latitude, longitude, complete)
    notes.append(sentence)

    def stacked(u: Any, v: Any) -> Any:
        return np.stack(method(u, v, latitude, longitude), axis=-1)

    grid = ["latitude", "longitude"]
    both = xr.apply_ufunc(
        stacked,
        *winds,
        input_core_dims=[grid, grid],
        output_core_dims=[[*grid, "kind"]],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"kind": 2}},
        output_dtypes=[np.result_type(np.float32, *(wind.dtype for wind in winds))],
    )
    fields = {}
    for kind, name in enumerate(DERIVED):
        fields[name] = both.isel(kind=kind)
        fields[name].attrs = {"units": VARIABLES[name].unit, "standard_name": VARIABLES[name].standard_name}
    return fields


# Opening -------------------------------------------------------------------------------------------------------------


def _opened(address: str) -> list[xr.Dataset]:
    """The file as xarray sees it; GRIB can hold several hypercubes and gives one Dataset for each."""
    if "://" in address:
        return [_zarr(address)]
    path = Path(address)
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, siblings, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Folder '{path.parent}' holds nothing of a similar name."
        raise UserError(f"No file '{address}'. {hint}")
    if path.is_dir():
        if not any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata")):
            held = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
            raise UserError(
                f"Folder '{address}' is not a Zarr store. It holds: {held}. Name one of its files or stores."
            )
        return [_zarr(address)]
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == b"GRIB":
        return _grib(address)
    if start == b"\x89HDF" or start[:3] == b"CDF":
        return [_netcdf(address, start)]
    raise UserError(f"'{address}' is none of Zarr, NetCDF and GRIB: it starts with {start!r}.")


def _zarr(address: str) -> xr.Dataset:
    if address.endswith((".nc", ".nc4", ".grib", ".grib2", ".grb")):
        raise UserError(f"Only Zarr can be read from a URL: download '{address}' first.")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated", RuntimeWarning)
            return xr.open_dataset(address, engine="zarr", chunks=None)
    except ImportError as error:
        raise UserError(f"Reading '{address}' needs one more package: {error}") from error
    except Exception as error:
        raise UserError(f"Zarr store '{address}' cannot be opened; is it whole? {_reason(error)}") from error


def _netcdf(address: str, start: bytes) -> xr.Dataset:
    try:
        if start[3] in (1, 2):
            _refuse_truncated(address)
        return xr.open_dataset(address, engine="netcdf4", chunks=None)
    except Exception as error:
        raise UserError(f"NetCDF file '{address}' cannot be opened; is it whole? {_reason(error)}") from error


def _refuse_truncated(address: str) -> None:
    # The netCDF library reads zeros beyond the end of a truncated classic file; mapping its variables does not.
    from scipy.io import netcdf_file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        netcdf_file(address, mmap=True).close()


def _grib(address: str) -> list[xr.Dataset]:
    try:
        import cfgrib
    except (ImportError, RuntimeError) as error:
        raise UserError(f"Reading GRIB ('{address}') needs one extra: pip install 'earth-toolkit[grib]'") from error
    try:
        return list(cfgrib.open_datasets(address, backend_kwargs={"indexpath": ""}))
    except Exception as error:
        raise UserError(f"GRIB file '{address}' cannot be opened; is it whole? {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return f"({type(error).__name__}: {error})"


def _in_chunks(raw: xr.Dataset) -> xr.Dataset:
    """The dataset with lazy arrays: whole maps, and of the other dimensions whole stored chunks up to CHUNK_BYTES."""
    from dask.array.core import normalize_chunks

    def chunked(variable: xr.DataArray) -> xr.DataArray:
        stored = variable.encoding.get("preferred_chunks", {})
        sizes = tuple(stored.get(dimension, 1) for dimension in variable.dims)
        leading = variable.ndim - 2
        if (
            leading < 1
            or variable.dtype.itemsize * np.prod(sizes[:leading]) * np.prod(variable.shape[leading:]) > CHUNK_BYTES
        ):
            return variable.chunk(dict(zip(variable.dims, (*sizes[:leading], *variable.shape[leading:]), strict=True)))
        whole = normalize_chunks(
            ("auto",) * leading + (-1, -1),
            variable.shape,
            limit=CHUNK_BYTES,
            dtype=variable.dtype,
            previous_chunks=sizes,
        )
        return variable.chunk(dict(zip(variable.dims, whole, strict=True)))

    return raw.map(chunked, keep_attrs=True)
