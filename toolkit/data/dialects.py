"""What the centres call the same seven fields, and how each naming becomes the canonical Dataset.

Canonical: dimensions (time, level, latitude, longitude), without level for a field at the surface or on one level
that is named nowhere; time ascending datetime64[ns], level ascending in hPa, latitude from north to south, longitude
ascending in [0, 360), SI units. What had to be assumed stands in the attribute `assumptions`, one sentence each.
"""

import re
from dataclasses import dataclass
from functools import reduce

import numpy as np
import xarray as xr

from toolkit.data.coordinates import (
    LEVEL_NAMES,
    Notes,
    coordinate_called,
    last_part,
    on_latitude_longitude,
    on_time,
    with_axis,
)
from toolkit.errors import UserError

Conversion = tuple[float, float]
STANDARD_GRAVITY = 9.80665  # m s-2, by definition
KNOT = 1852 / 3600  # m s-1, by definition
STANDARD_LEVELS_HPA = {1, 2, 3, 5, 7, 10, 20, 30, 50, 70, *range(100, 1001, 25)}
CANONICAL_DIMENSIONS = ("time", "level", "latitude", "longitude")

_AXES = {
    "time": {"standard_name": "time"},
    "level": {"units": "hPa", "standard_name": "air_pressure"},
    "latitude": {"units": "degrees_north", "standard_name": "latitude"},
    "longitude": {"units": "degrees_east", "standard_name": "longitude"},
}


@dataclass(frozen=True)
class Variable:
    """A canonical field: unit, CF standard name, the names it goes by, and the units it may come in.

    Names are in small letters, units as `_plain` writes them; canonical = factor * value + offset.
    """

    unit: str
    standard_name: str
    names: frozenset[str]
    units: dict[str, Conversion]
    on_levels: bool = True


def _units(factor: float, *names: str, offset: float = 0.0) -> dict[str, Conversion]:
    return dict.fromkeys(names, (factor, offset))


_RATE = _units(1, "s-1", "1/s", "/s", "1 s-1", "sec-1") | _units(1e-5, "1e-5 s-1", "10-5 s-1", "1e-5/s", "10-5/s")
_SPEED = _units(1, "m s-1", "m/s", "ms-1", "meter/second", "meters/second", "m sec-1")
_SPEED |= _units(KNOT, "kt", "kts", "knot", "knots") | _units(1 / 3.6, "km h-1", "km/h", "kmh-1")
_ENERGY = _units(1, "m2 s-2", "m2/s2", "j kg-1", "j/kg") | _units(10 * STANDARD_GRAVITY, "dam", "gpdm")
_ENERGY |= _units(STANDARD_GRAVITY, "m", "gpm", "meter", "meters", "metre", "metres")
_WARMTH = _units(1, "k", "kelvin", "degk")
_WARMTH |= _units(1, "degc", "c", "celsius", "deg c", "degree_celsius", "degrees_celsius", "°c", offset=273.15)
_PRESSURE = _units(1, "pa", "pascal", "pascals") | _units(100, "hpa", "mb", "mbar", "millibar", "millibars")
_HEIGHTS = frozenset({"zg", "gh", "hgt", "h", "geopotential_height"})
_VORTICITY = frozenset({"vorticity", "relative_vorticity", "vo", "vor", "vort", "relv", "var138"})
_PRESSURES = frozenset({"mean_sea_level_pressure", "msl", "mslp", "psl", "slp", "prmsl", "var151"})

VARIABLES = {
    "vorticity": Variable("s-1", "atmosphere_relative_vorticity", _VORTICITY, _RATE),
    "divergence": Variable(
        "s-1", "divergence_of_wind", frozenset({"divergence", "d", "div", "dv", "reld", "var155"}), _RATE
    ),
    "eastward_wind": Variable(
        "m s-1",
        "eastward_wind",
        frozenset({"eastward_wind", "u_component_of_wind", "u", "ua", "uwnd", "var131"}),
        _SPEED,
    ),
    "northward_wind": Variable(
        "m s-1",
        "northward_wind",
        frozenset({"northward_wind", "v_component_of_wind", "v", "va", "vwnd", "var132"}),
        _SPEED,
    ),
    "geopotential": Variable("m2 s-2", "geopotential", frozenset({"geopotential", "z", "var129"}) | _HEIGHTS, _ENERGY),
    "temperature": Variable(
        "K", "air_temperature", frozenset({"temperature", "air_temperature", "t", "ta", "air", "var130"}), _WARMTH
    ),
    "mean_sea_level_pressure": Variable("Pa", "air_pressure_at_mean_sea_level", _PRESSURES, _PRESSURE, on_levels=False),
}
_STANDARD_NAMES = {variable.standard_name: name for name, variable in VARIABLES.items()} | {
    "atmosphere_upward_relative_vorticity": "vorticity",
    "geopotential_height": "geopotential",
    "air_pressure_at_sea_level": "mean_sea_level_pressure",
}
_OTHER_LEVELS = {"hybrid", "model_level", "sigma", "eta", "theta", "isentropic", "height", "altitude", "depth"}
_MEMBER_NAMES = {"number", "realization", "member", "ensemble", "ens", "ensemble_member", "member_id"}


def recognised(raw: xr.Dataset) -> dict[str, tuple[str, float | None]]:
    """Return, for each variable of `raw` that is one of ours, its canonical name and the level its own name gives."""
    found = {}
    for name in map(str, raw.data_vars):
        meant = _canonical_name(name)
        level = None
        suffixed = re.fullmatch(r"([a-z]+)[_-]?(\d{3,4})(hpa|mb)?", name.lower())
        if meant is None and suffixed:
            # u100 and v100 are ERA5's winds at a height of 100 m: without a unit, names give levels from 150 hPa on.
            level = float(suffixed[2])
            if level in STANDARD_LEVELS_HPA and (level >= 150 or suffixed[3]):
                meant = _canonical_name(suffixed[1])
        if meant is not None:
            found[name] = (meant, level)
    return found


def _canonical_name(name: str) -> str | None:
    return next((canonical for canonical, variable in VARIABLES.items() if name.lower() in variable.names), None)


def canonical(raw: xr.Dataset, source: str) -> xr.Dataset:
    """Return the fields of one opened file that are ours, in canonical form; `source` names the file in errors.

    Of each variable whose unit, levels or dimensions are not clear the attribute `refused` says why. Raises UserError
    for coordinates that are missing, contradict themselves or are none we know.
    """
    notes: Notes = []
    names = recognised(raw)
    ds = on_latitude_longitude(raw[list(names)], source, notes)
    ds = _one_member(ds, source, notes)
    ds = on_time(ds, source, notes)
    ds, only_level = _on_level(ds, source, notes)
    fields, refused = {}, {}
    held = list(map(str, ds.data_vars))
    for meant in dict.fromkeys(names[name][0] for name in held):
        mine = [name for name in held if names[name][0] == meant]
        try:
            arrays = [_field(ds[name], meant, names[name][1] or only_level, source, notes) for name in mine]
            fields[meant] = _one_field(meant, arrays, source)
        except UserError as error:
            refused[meant] = str(error)
    result = xr.Dataset(fields).drop_encoding()
    for axis in result.coords:
        result[axis].attrs = _AXES[str(axis)]
    result.attrs = {"source": source, "assumptions": tuple(dict.fromkeys(notes)), "refused": refused}
    if "missing_data" in raw.attrs:
        result.attrs["missing_data"] = raw.attrs["missing_data"]
    return result


def _field(field: xr.DataArray, name: str, level: float | None, source: str, notes: Notes) -> xr.DataArray:
    """The field in SI units on canonical dimensions, at a `level` that is known from elsewhere than its dimensions."""
    other, field = other_level(field), _in_si(field, name, source, notes)
    if VARIABLES[name].on_levels and "level" not in field.dims:
        if level is None and other:
            value = f" ({np.ravel(field[other].values)[0]})" if other in field.coords else ""
            raise UserError(
                f"Variable '{field.name}' of {source} is at a level of '{other}'{value}, but {name} is needed on "
                f"pressure levels. Take the data on these."
            )
        level = level or _level_in_name(source, notes)
        field = field if level is None else field.expand_dims(level=[level])
    return _ordered(field, source)


def other_level(field: xr.DataArray) -> str | None:
    """The coordinate, or dimension of length 1, that places a field at a level which is none of pressure."""
    for name in map(str, dict.fromkeys([*field.dims, *field.coords])):
        about = field[name].attrs
        is_vertical = about.get("axis") == "Z" or "positive" in about or name == field.attrs.get("GRIB_typeOfLevel")
        named = name.lower() in _OTHER_LEVELS or (is_vertical and name.lower() not in LEVEL_NAMES)
        if named and field[name].size == 1:
            return name
    return None


def _one_field(name: str, arrays: list[xr.DataArray], source: str) -> xr.DataArray:
    """The one field that all arrays of this name are levels of; `levels_hpa` keeps which levels it has."""
    levels = [float(level) for array in arrays if "level" in array.dims for level in array["level"].values]
    if len(arrays) > 1 and (len(set(levels)) < len(levels) or not all("level" in array.dims for array in arrays)):
        doubles = " and ".join(f"'{array.name}'" for array in arrays)
        raise UserError(f"Variables {doubles} of {source} are both {name}: drop one of them.")
    field = arrays[0] if len(arrays) == 1 else xr.concat(arrays, "level", join="exact").sortby("level")
    variable = VARIABLES[name]
    field.attrs = {"units": variable.unit, "standard_name": variable.standard_name}
    if levels:
        field.attrs["levels_hpa"] = tuple(sorted(levels))
    return field.rename(name)


def _ordered(field: xr.DataArray, source: str) -> xr.DataArray:
    """The field with its dimensions in canonical order and nothing but their coordinates."""
    for dimension in set(field.dims) - set(CANONICAL_DIMENSIONS):
        if field.sizes[dimension] > 1:
            raise UserError(
                f"Variable '{field.name}' of {source} has a dimension '{dimension}' of {field.sizes[dimension]} beside "
                f"time, pressure level, latitude and longitude. Pick one of them and save that."
            )
        field = field.isel({dimension: 0})
    if not {"time", "latitude", "longitude"} <= set(field.dims):
        raise UserError(
            f"Variable '{field.name}' of {source} has dimensions {field.dims}, not one field for each time."
        )
    kept = [dimension for dimension in CANONICAL_DIMENSIONS if dimension in field.dims]
    field = field.reset_coords(set(field.coords) - set(kept), drop=True)
    return field if list(field.dims) == kept else field.transpose(*kept)


# Units ---------------------------------------------------------------------------------------------------------------


def _plain(unit: str) -> str:
    """A unit without powers' signs and capitals: 'm**2 s**-2', 'm^2 s^-2' and 'm2.s-2' are all 'm2 s-2'."""
    return " ".join(re.sub(r"[*.·]|\s", " ", re.sub(r"\*\*|\^", "", unit.strip().lower())).split())


def _in_si(field: xr.DataArray, canonical_name: str, source: str, notes: Notes) -> xr.DataArray:
    variable, name = VARIABLES[canonical_name], str(field.name)
    standard_name = str(field.attrs.get("standard_name"))
    if _STANDARD_NAMES.get(standard_name, canonical_name) != canonical_name:
        raise UserError(
            f"Variable '{name}' of {source} is named like {canonical_name}, but its standard_name is "
            f"'{standard_name}'. Correct one of the two."
        )
    unit = field.attrs.get("units")
    if unit is None or not str(unit).strip():
        unit = "m" if name.lower() in _HEIGHTS else variable.unit
        notes.append(f"variable '{name}' names no unit and is taken to be in {unit}")
    if _plain(str(unit)) not in variable.units:
        raise UserError(
            f"Variable '{name}' of {source} has the unit '{unit}', but {canonical_name} is needed in {variable.unit}, "
            f"or in one of: {', '.join(variable.units)}. Correct the variable's units attribute, or its name."
        )
    factor, offset = variable.units[_plain(str(unit))]
    return field if (factor, offset) == (1, 0) else (field * factor + offset).rename(name)


# Coordinates ---------------------------------------------------------------------------------------------------------


def _one_member(ds: xr.Dataset, source: str, notes: Notes) -> xr.Dataset:
    """The first ensemble member, and final ERA5 (expver 1) filled up with preliminary ERA5T (expver 5)."""
    for dimension in map(str, ds.dims):
        count = ds.sizes[dimension]
        if dimension.lower() in _MEMBER_NAMES:
            if count > 1:
                member = ds[dimension].values[0] if dimension in ds.coords else 0
                notes.append(f"{source} holds {count} ensemble members, of which only {member} is read")
            ds = ds.isel({dimension: 0}, drop=True)
        elif dimension == "expver":
            if count > 1:
                notes.append("expver 1 (ERA5) is filled up with expver 5 (ERA5T, preliminary) where it ends")
            ds = reduce(xr.Dataset.combine_first, [ds.isel(expver=i, drop=True) for i in range(count)])
    return ds


def _on_level(ds: xr.Dataset, source: str, notes: Notes) -> tuple[xr.Dataset, float | None]:
    """The dataset on `level` in hPa, and the level where the file has only one and no dimension for it."""
    found = coordinate_called(ds, LEVEL_NAMES, "air_pressure")
    if found is None:
        return ds, None
    levels = np.atleast_1d(ds[found].values.astype(float))
    unit = ds[found].attrs.get("units")
    if unit is None:
        unit = "Pa" if levels.max() > 1100 else "hPa"
        notes.append(f"coordinate '{found}' of {source} names no unit and is taken to be in {unit}")
    factor, _ = _PRESSURE.get(_plain(str(unit)), (0.0, 0.0))
    if not factor:
        raise UserError(
            f"Coordinate '{found}' of {source} has the unit '{unit}', but pressure levels in hPa or Pa are needed. "
            f"Correct its units attribute, or take the data on pressure levels."
        )
    levels = np.round(levels * factor / 100, 6)
    if ds[found].ndim == 0:
        return ds.drop_vars(found), float(levels[0])
    order = np.argsort(levels)
    if (np.diff(levels[order]) == 0).any():
        raise UserError(f"A level of {source} is there twice: {levels}.")
    ds = with_axis(ds, found, "level", levels)
    return ds if (np.diff(order) > 0).all() else ds.isel(level=order), None


# What only the file name says ----------------------------------------------------------------------------------------


def _level_in_name(source: str, notes: Notes) -> float | None:
    """The one standard level in a file name, as in vo850 or 500hPa."""
    levels = set()
    for part in re.split(r"[_\-.\s]", last_part(source).lower()):
        match = re.fullmatch(r"[a-z]+(\d{3,4})|[a-z]*(\d{1,4})(?:hpa|mb)", part)
        level = int(match[1] or match[2]) if match else 0
        if level in STANDARD_LEVELS_HPA:
            levels.add(float(level))
    if len(levels) != 1:
        return None
    notes.append(f"the level {min(levels):g} hPa is taken from the file name of {source}")
    return levels.pop()
