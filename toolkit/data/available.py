"""What files can give of the fields that a model wants, with every substitution and every lack said in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xarray as xr

from toolkit.data.opening import is_zarr
from toolkit.data.sources import DERIVED, WINDS, open_source, select_fields
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
    """`fields` (time, latitude, longitude) of some of the variables wanted, those `missing`, and `notes` to be said."""

    fields: xr.Dataset
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def gathered(address: str | Path, stand_ins: Mapping[str, str] = MappingProxyType(SURFACE_WINDS)) -> xr.Dataset:
    """Open one file, store or URL, or all files of a folder or a pattern such as `2005-*.nc`, as one canonical Dataset.

    Files may hold different variables or different times; `stand_ins` are as in `open_source`. Raises `UserError` where
    one cannot be opened, or where they do not fit together.
    """
    paths = field_files(str(address))
    parts = [open_source(path, stand_ins) for path in paths]
    if len(parts) == 1:
        return parts[0]
    try:
        whole = xr.combine_by_coords(
            [part.drop_attrs(deep=False) for part in parts], join="exact", combine_attrs="drop"
        )
    except ValueError as error:
        raise UserError(
            f"The {len(parts)} files of {address} do not fit together: they are on several grids, times or levels, or "
            "hold the same fields twice. Name those that belong together."
        ) from error
    assert isinstance(whole, xr.Dataset)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.attrs["assumptions"]))
    missing_data = {k: v for part in parts for k, v in part.attrs.items() if k == "missing_data"}
    return whole.assign_attrs({"source": str(address), "assumptions": notes} | missing_data)


def available_fields(ds: xr.Dataset, variables: tuple[str, ...], level_hpa: float) -> Available:
    """Return what a canonical Dataset can give of `variables` at a level, or at one near it.

    Vorticity and divergence are derived from the winds where they can be. Raises `UserError` where nothing of what is
    wanted is there, and where no level is near.
    """
    can_derive = set(WINDS) <= set(ds.data_vars)
    there = tuple(name for name in variables if name in ds or (name in DERIVED and can_derive))
    notes: list[str] = []
    level = _near_level(ds, there, level_hpa, notes)
    fields = select_fields(ds, there or variables, level)
    missing = tuple(name for name in variables if name not in there)
    source = ds.attrs.get("source", "the data")
    notes += [
        f"{name} is not in {source} and cannot be derived: the model is told that it is missing" for name in missing
    ]
    return Available(fields, missing, (*fields.attrs["assumptions"], *notes))


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
