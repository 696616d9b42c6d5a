"""Any file of fields as xarray sees it, lazily: Zarr, NetCDF and GRIB, told apart by what is in them."""

import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from toolkit.errors import UserError

CHUNK_BYTES = 64_000_000
_ONE_AT_A_TIME = Lock()
_ZARR = ("zarr.json", ".zgroup", ".zmetadata")


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr, of either version, by what is in it."""
    return any((path / name).exists() for name in _ZARR)


def is_grib(path: Path) -> bool:
    """Tell whether a file is GRIB by how it starts, whatever its name."""
    return path.is_file() and _start(path) == b"GRIB"


def opened(address: str) -> list[xr.Dataset]:
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
        if not is_zarr(path):
            held = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
            raise UserError(
                f"Folder '{address}' is not a Zarr store. It holds: {held}. Name one of its files or stores."
            )
        return [_zarr(address)]
    start = _start(path)
    if start == b"GRIB":
        return _grib(address)
    if start == b"\x89HDF" or start[:3] == b"CDF":
        return [_netcdf(address, start)]
    raise UserError(f"'{address}' is none of Zarr, NetCDF and GRIB: it starts with {start!r}.")


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4)


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
        if start[:3] == b"CDF":
            _refuse_truncated(address, version=start[3])
        with _ONE_AT_A_TIME:
            raw = xr.open_dataset(address, engine="netcdf4", chunks=None)
            if not any(_holds_strings(variable) for variable in raw.variables.values()):
                return raw
            with raw:
                return _read_apart(address, raw)
    except Exception as error:
        raise UserError(f"NetCDF file '{address}' cannot be opened; is it whole? {_reason(error)}") from error


def _refuse_truncated(address: str, version: int) -> None:
    # The netCDF library reads zeros beyond the end of a truncated classic file; mapping its variables does not.
    from netCDF4 import Dataset
    from scipy.io import netcdf_file

    if version == 5:  # with sizes of 64 bits, which scipy cannot map
        with _ONE_AT_A_TIME, Dataset(address) as held:
            needed = sum(variable.size * variable.dtype.itemsize for variable in held.variables.values())
        if needed > (there := Path(address).stat().st_size):
            raise ValueError(f"its variables need {needed:,} bytes and it has {there:,}")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        netcdf_file(address, mmap=True).close()


def _grib(address: str) -> list[xr.Dataset]:
    try:
        import cfgrib
    except (ImportError, RuntimeError) as error:
        raise UserError(f"Reading GRIB ('{address}') needs one extra: pip install 'earth-toolkit[grib]'") from error
    try:
        return list(cfgrib.open_datasets(address, backend_kwargs={"indexpath": "", "errors": "raise"}))
    except Exception as error:
        raise UserError(f"GRIB file '{address}' cannot be opened; is it whole? {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return f"({type(error).__name__}: {error})"


def in_chunks(raw: xr.Dataset) -> xr.Dataset:
    """The dataset with lazy arrays: whole maps, and of the other dimensions whole stored chunks up to CHUNK_BYTES."""
    return raw.map(lambda variable: variable.chunk(_chunks(variable)), keep_attrs=True)


def _chunks(variable: xr.DataArray) -> dict[Any, Any]:
    from dask.array.core import normalize_chunks

    stored = variable.encoding.get("preferred_chunks", {})
    sizes = tuple(stored.get(dimension, 1) for dimension in variable.dims)
    leading = variable.ndim - 2
    size = variable.dtype.itemsize * np.prod(sizes[:leading]) * np.prod(variable.shape[leading:])
    if leading < 1 or not 0 < size <= CHUNK_BYTES:
        return dict(zip(variable.dims, (*sizes[:leading], *variable.shape[leading:]), strict=True))
    whole = normalize_chunks(
        ("auto",) * leading + (-1, -1), variable.shape, limit=CHUNK_BYTES, dtype=variable.dtype, previous_chunks=sizes
    )
    return dict(zip(variable.dims, whole, strict=True))


# NetCDF with strings -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reread:
    """A variable of a file that is opened for each part that is read, and closed again."""

    address: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, part: Any) -> NDArray[Any]:
        with _ONE_AT_A_TIME, xr.open_dataset(self.address, engine="netcdf4", chunks=None) as raw:
            return raw[self.name][part].to_numpy()


def _holds_strings(variable: xr.Variable) -> bool:
    """Say whether a file holds a variable as strings of any length, rather than as characters or as dates."""
    return variable.dtype.kind in "OU" and not {"char_dim_name", "calendar"} & set(variable.encoding)


def _read_apart(address: str, raw: xr.Dataset) -> xr.Dataset:
    """The dataset with its coordinates read, and lazy arrays that leave the file closed in between.

    The HDF5 library ends the process where a file with strings is open several times and closed once of those
    (https://github.com/HDFGroup/hdf5/issues/5359), so such a file is never open twice.
    """
    import dask.array as da

    variables = {}
    for name, variable in raw.data_vars.items():
        source = _Reread(address, str(name), variable.shape, variable.dtype)
        chunks, empty = tuple(_chunks(variable).values()), np.empty((0,) * variable.ndim, variable.dtype)
        # Without a name or an example of its own, dask would read the file to find them.
        lazy = da.from_array(source, chunks, name=False, meta=empty) if variable.ndim else variable.to_numpy()
        variables[name] = xr.Variable(variable.dims, lazy, variable.attrs, variable.encoding)
    return xr.Dataset(variables, {name: axis.variable.load() for name, axis in raw.coords.items()}, raw.attrs)
