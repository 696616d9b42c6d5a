"""From any field file to one canonical Dataset: opening it, and picking the fields a training store is made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from toolkit.data.dialects import VARIABLES, canonical, other_level, recognised
from toolkit.data.dynamics import derivation
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
