"""From any field file to one canonical Dataset: opening it, and picking the fields a training store is made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from toolkit.data.dialects import VARIABLES, canonical, other_level, recognised
from toolkit.data.differences import POLE
from toolkit.data.dynamics import derivation
from toolkit.data.grids import is_spectral_grid, unrolled_longitudes
from toolkit.data.opening import in_chunks, opened
from toolkit.data.reading import reading
from toolkit.errors import UserError, unknown

DERIVED_AT_ONCE_BYTES = 32_000_000
DERIVED = ("vorticity", "divergence")
WINDS = ("eastward_wind", "northward_wind")


def open_source(path_or_url: str | Path, stand_ins: Mapping[str, str] | None = None) -> xr.Dataset:
    """Open Zarr (a folder or a URL), NetCDF or GRIB as the canonical Dataset of `toolkit.data.dialects`, lazily.

    stand_ins: variables to be read under other names where the source holds no winds, vorticity or divergence.

    In its attributes `assumptions` lists, in sentences, what the file itself does not say, and `refused` why variables
    of it cannot be read, which matters to those who need them; `missing_data` is passed on from the file, where it
    declares that NaN marks gaps. Raises UserError for a file that is missing, damaged or in no format we read, whose
    coordinates are not clear, or that holds none of our variables in a unit and on levels that are.
    """
    address = str(path_or_url)
    raws = opened(address)
    raws, stood_in = _with_stand_ins(raws, stand_ins or {}, address)
    parts = [canonical(in_chunks(raw[list(names)]), address) for raw in raws if (names := recognised(raw))]
    if not parts:
        there = ", ".join(sorted({f"'{name}'" for raw in raws for name in raw.data_vars})) or "nothing"
        raise UserError(f"{address} holds none of {', '.join(VARIABLES)}, under any name we know. It holds: {there}.")
    reasons = {name: why for part in parts for name, why in part.attrs["refused"].items()}
    held = [str(name) for part in parts for name in part.data_vars]
    if not held:
        raise UserError(next(iter(reasons.values())))
    if len(set(held)) < len(held):
        raise UserError(f"{address} holds {max(held, key=held.count)} in several parts, which differ: split the file.")
    try:
        whole = xr.merge([part.drop_attrs(deep=False) for part in parts], join="exact", compat="minimal")
    except ValueError as error:
        raise UserError(f"The fields of {address} are on several grids, times or levels: split the file.") from error
    refused = {name: why for name, why in reasons.items() if name not in held}
    assumptions = [*stood_in, *(sentence for part in parts for sentence in part.attrs["assumptions"])]
    assumptions += [f"{name} is left out: {why}" for name, why in refused.items()]
    return whole.assign_attrs(parts[0].attrs | {"assumptions": tuple(assumptions), "refused": refused})


def _with_stand_ins(
    raws: list[xr.Dataset], stand_ins: Mapping[str, str], address: str
) -> tuple[list[xr.Dataset], list[str]]:
    """The datasets with stand-ins under the names they stand for, and a sentence for each."""
    held = {name for raw in raws for name, _ in recognised(raw).values()}
    if held & {*WINDS, *DERIVED}:
        return raws, []
    there = [{old: new for old, new in stand_ins.items() if old in raw} for raw in raws]
    notes = [f"variable '{old}' of {address} stands in for '{new}'" for names in there for old, new in names.items()]
    return [_standing_in(raw, names) for raw, names in zip(raws, there, strict=True)], notes


def _standing_in(raw: xr.Dataset, names: dict[str, str]) -> xr.Dataset:
    """The dataset with its variables under other names, without the height that they are at."""
    for old in names:
        if height := other_level(raw[old]):
            raw = raw.squeeze(height, drop=True) if height in raw.dims else raw.drop_vars(height)
    return raw.rename(names)


def select_fields(ds: xr.Dataset, variables: list[str] | tuple[str, ...], level_hpa: float) -> xr.Dataset:
    """Return `variables` of a canonical Dataset at one level, with dimensions (time, latitude, longitude).

    Vorticity and divergence that are not there are derived from the winds, time by time as the winds of that time have
    gaps or none; on a global grid they are read once to say which. A region is then without a row at a pole. Raises
    UserError for a variable that is neither there nor can be derived, and for a level that is not there.
    """
    notes: list[str] = []
    is_derived = any(name not in ds for name in variables)
    if is_derived:
        for name in variables:
            _require_derivable(ds, name)
        ds = _where_derivable(ds, notes)
    fields = {name: _at_level(ds, name, level_hpa, notes) for name in variables if name in ds}
    if is_derived:
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
        require_readable(ds, name)
        remedy = ", nor the winds (eastward_wind and northward_wind) to derive it from" if name in DERIVED else ""
        raise UserError(f"{source} holds no {name}{remedy}. It holds: {', '.join(map(str, ds.data_vars))}.")


def require_readable(ds: xr.Dataset, name: str) -> None:
    """Raise the `UserError` of a variable, or of a wind to derive it from, that the source holds and cannot be read."""
    for needed in (name, *WINDS) if name in DERIVED else (name,):
        if needed in ds.attrs.get("refused", {}):
            raise UserError(ds.attrs["refused"][needed])


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


def _where_derivable(ds: xr.Dataset, notes: list[str]) -> xr.Dataset:
    """The dataset without a row at a pole that its grid does not go round, where nothing can be derived."""
    at_pole = np.abs(ds["latitude"].values) > POLE
    if unrolled_longitudes(ds["longitude"].values)[2] or not at_pole.any():
        return ds
    notes.append("the row at the pole is left out: vorticity and divergence cannot be derived there in a region")
    return ds.isel(latitude=np.flatnonzero(~at_pole))


def _derived(ds: xr.Dataset, winds: list[xr.DataArray], notes: list[str]) -> dict[str, xr.DataArray]:
    """Vorticity and divergence of the winds, in chunks of several times so that Legendre tables serve many fields."""
    latitude, longitude = ds["latitude"].values, ds["longitude"].values
    times = max(1, DERIVED_AT_ONCE_BYTES // (winds[0].dtype.itemsize * latitude.size * longitude.size))
    if winds[0].chunks is not None:
        winds = [wind.chunk(time=times, latitude=-1, longitude=-1) for wind in winds]
    grid = ["latitude", "longitude"]
    count, with_gaps = winds[0].sizes["time"], 0
    if is_spectral_grid(latitude, longitude):
        with reading(ds.attrs.get("source", "the dataset")):
            finite: Any = np.isfinite(winds[0]) & np.isfinite(winds[1])
            with_gaps = count - int(finite.all(grid).sum())
    _, sentence = derivation(latitude, longitude, with_gaps < count)
    but = f", but by finite differences at the {with_gaps} of {count} times at which the winds have gaps"
    notes.append(sentence + (but if 0 < with_gaps < count else ""))
    kind_of_number = np.result_type(np.float32, *(wind.dtype for wind in winds))

    def stacked(u: Any, v: Any) -> Any:
        complete = (np.isfinite(u) & np.isfinite(v)).all(axis=(-2, -1))
        result = np.empty((*u.shape, 2), kind_of_number)
        for times, is_complete in ((complete, True), (~complete, False)):
            if times.any():
                method, _ = derivation(latitude, longitude, is_complete)
                result[times] = np.stack(method(u[times], v[times], latitude, longitude), axis=-1)
        return result

    both = xr.apply_ufunc(
        stacked,
        *winds,
        input_core_dims=[grid, grid],
        output_core_dims=[[*grid, "kind"]],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"kind": 2}},
        output_dtypes=[kind_of_number],
    )
    fields = {}
    for kind, name in enumerate(DERIVED):
        fields[name] = both.isel(kind=kind)
        fields[name].attrs = {"units": VARIABLES[name].unit, "standard_name": VARIABLES[name].standard_name}
    return fields
