"""What files can give of the fields that a model wants, with every substitution and every lack said in a sentence."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.opening import is_zarr
from toolkit.data.sources import DERIVED, WINDS, open_source, require_readable, select_fields
from toolkit.errors import UserError

SURFACE_WINDS = dict.fromkeys(("u10", "10u", "uas", "10m_u_component_of_wind"), "u") | dict.fromkeys(
    ("v10", "10v", "vas", "10m_v_component_of_wind"), "v"
)
"""Names of the wind at 10 m, which stands in for that on a pressure level where a source has no other."""
NEAR_HPA = 150
"""How far from the level asked for another one may be to stand in for it."""
LABEL_MAPS = "extremes.nc"
"""Maps of labels in a world's folder, which are no fields."""
SUFFIXES = (".nc", ".nc4", ".grib", ".grib2", ".grb", ".grb2")


@dataclass(frozen=True, eq=False)
class Available:
    """`fields` (time, latitude, longitude) of some of the variables wanted, and `notes` to be said."""

    fields: xr.Dataset
    notes: tuple[str, ...]


def gathered(address: str | Path, stand_ins: Mapping[str, str] = MappingProxyType(SURFACE_WINDS)) -> xr.Dataset:
    """Open one file, store or URL, or all files of a folder or a pattern such as `2005-*.nc`, as one canonical Dataset.

    Files may hold different variables or different times; `stand_ins` are as in `open_source`. Raises `UserError` where
    one cannot be opened, where they do not fit together, or where two hold the same fields at the same time.
    """
    paths = field_files(str(address))
    parts = [open_source(path, stand_ins) for path in paths]
    if len(parts) == 1:
        return parts[0]
    alike: dict[tuple[object, ...], list[xr.Dataset]] = defaultdict(list)
    for part in parts:
        axes = (part[axis].values.tobytes() for axis in ("level", "latitude", "longitude") if axis in part.coords)
        alike[tuple(sorted(map(str, part.data_vars))), *axes].append(part)
    series = [_in_order_of_time(group) for group in alike.values()]
    try:
        whole = xr.combine_by_coords(
            [each.drop_attrs(deep=False) for each in series], join="exact", combine_attrs="override"
        )
    except ValueError as error:
        raise UserError(
            f"The {len(parts)} files of {address} do not fit together: {_difference(series)}. "
            "Name those that belong together."
        ) from error
    assert isinstance(whole, xr.Dataset)
    for name in (name for name in whole.data_vars if "level" in whole[name].dims):
        levels = {level for part in parts if name in part for level in part[name].attrs.get("levels_hpa", ())}
        whole[name].attrs["levels_hpa"] = tuple(sorted(levels))
    notes = tuple(dict.fromkeys(note for part in parts for note in part.attrs["assumptions"]))
    refused = {name: why for part in parts for name, why in part.attrs["refused"].items() if name not in whole}
    missing_data = {k: v for part in parts for k, v in part.attrs.items() if k == "missing_data"}
    return whole.assign_attrs({"source": str(address), "assumptions": notes, "refused": refused} | missing_data)


def available_fields(ds: xr.Dataset, variables: tuple[str, ...], level_hpa: float) -> Available:
    """Return what a canonical Dataset can give of `variables` at a level, or at one near it.

    Vorticity and divergence are derived from the winds where they can be. Raises `UserError` where nothing of what is
    wanted is there, where something of it is and cannot be read, and where no level is near.
    """
    can_derive = set(WINDS) <= set(ds.data_vars)
    there = tuple(name for name in variables if name in ds or (name in DERIVED and can_derive))
    notes: list[str] = []
    level = _near_level(ds, there, level_hpa, notes)
    fields = select_fields(ds, there or variables, level)
    source = ds.attrs.get("source", "the data")
    for name in (name for name in variables if name not in there):
        require_readable(ds, name)
        notes.append(f"{name} is not in {source} and cannot be derived: the model is told that it is missing")
    return Available(fields, (*fields.attrs["assumptions"], *notes))


def field_files(address: str) -> list[str]:
    """Return the files behind an address: itself, those that match a pattern, or the fields in a folder of files.

    Maps of labels that lie beside these are none of them. Raises `UserError` for a pattern that nothing matches.
    """
    if "://" in address:
        return [address]
    path = Path(address)
    if not path.exists() and set(path.name) & set("*?["):
        found = sorted(map(str, path.parent.glob(path.name)))
        if not found:
            raise UserError(f"No file matches '{address}'.")
        return found
    if path.is_dir() and not is_zarr(path):
        held = (entry for entry in path.iterdir() if entry.suffix in SUFFIXES and entry.name != LABEL_MAPS)
        return sorted(map(str, held)) or [address]
    return [address]


def _in_order_of_time(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Datasets that differ in their times alone as one; `UserError` for a time that is in two of them."""
    source = [part.attrs["source"] for part in parts for _ in range(part.sizes["time"])]
    time = np.concatenate([part["time"].values for part in parts])
    order = np.argsort(time, kind="stable")
    if (again := np.flatnonzero(np.diff(time[order]) == np.timedelta64(0))).size:
        first, second = order[again[0] : again[0] + 2]
        raise UserError(
            f"{source[first]} and {source[second]} both hold {time[first].astype('datetime64[m]')}, and the same "
            "fields then. Take that time out of one of them, or name the files that belong together."
        )
    whole = xr.concat(
        parts, "time", data_vars="minimal", coords="minimal", compat="override", join="exact", combine_attrs="override"
    )
    return whole if (np.diff(order) > 0).all() else whole.isel(time=order)


def _difference(series: Sequence[xr.Dataset]) -> str:
    """On which axis two of the datasets differ, in words."""
    first = series[0]
    for other in series[1:]:
        for axis in ("time", "latitude", "longitude", "level"):
            here, there = (each[axis].values if axis in each.coords else np.empty(0) for each in (first, other))
            if not np.array_equal(here, there):
                held = " and ".join(
                    f"{len(values)}{_ends(values)} in {each.attrs['source']}"
                    for each, values in ((first, here), (other, there))
                )
                return f"of the {axis}s there are {held}"
    return f"{first.attrs['source']} and others hold the same fields twice"


def _ends(values: NDArray[Any]) -> str:
    """The first and last of some times, levels or degrees, in brackets."""
    return f" ({str(values[0])[:16]} to {str(values[-1])[:16]})" if len(values) else ""


def _near_level(ds: xr.Dataset, there: tuple[str, ...], level_hpa: float, notes: list[str]) -> float:
    """The level asked for, or the one nearest to it that all fields needed have."""
    needed = {name for name in there if name in ds} | ({*WINDS} if any(name not in ds for name in there) else set())
    on_levels = [ds[name] for name in needed if "level" in ds[name].dims]
    if not on_levels:
        return level_hpa
    held = [set(np.ravel(field.attrs.get("levels_hpa", field["level"].values)).tolist()) for field in on_levels]
    common = sorted(set.intersection(*held))
    nearest = min(common, key=lambda level: abs(level - level_hpa), default=level_hpa)
    if nearest == level_hpa or abs(nearest - level_hpa) > NEAR_HPA:
        return level_hpa
    names = " and ".join(sorted(needed))
    notes.append(f"{names} at {nearest:g} hPa stand in for those at {level_hpa:g} hPa, which the data do not have")
    return float(nearest)
