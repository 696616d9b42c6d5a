"""Maps of extreme events from any source that marks them, as one canonical Dataset of shares between 0 and 1.

Canonical: dimensions (time, latitude, longitude), axes as in `toolkit.data.dialects`; one float32 variable for each
kind: the share of annotators that mark the cell, NaN where nothing is known. Read are, told apart by what is in them:

- a simulated world, by its extremes.nc, and ClimateNetLarge's layout, a file or a folder of files at any depth;
- ClimateNet's files, one or a folder of them;
- catalogues of dates and boxes: a world's events.csv, and ExtremeWeatherBench's YAML.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from toolkit.data.available import LABEL_MAPS
from toolkit.data.label_catalogue import catalogue_events, drawn
from toolkit.data.label_kinds import KINDS
from toolkit.data.label_netcdf import DIMENSIONS, file_shares
from toolkit.data.opening import is_zarr
from toolkit.data.regrid import regular_grid
from toolkit.errors import UserError, unknown

EVENTS = "events.csv"
CATALOGUES = (".csv", ".yaml", ".yml")
BOX_DEGREES = 2.8125


def open_label_maps(path: Path, kinds: tuple[str, ...]) -> xr.Dataset:
    """Open label maps of `kinds` lazily; a kind that the source does not have is NaN everywhere.

    The boxes of a catalogue are drawn on a grid of 2.8 degrees; maps keep their own. Attributes: `source`,
    `assumptions` (what the files do not say, in sentences), and `left_out` (what was not read: {sentence: count}).
    Raises UserError for a path that is not there or in no layout we read, for kinds that nobody knows, and where no
    wanted kind is labelled.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("kind of event", kind, KINDS)
    notes: list[str] = []
    left_out: Counter[str] = Counter()
    if path.suffix in CATALOGUES:
        maps = _of_catalogue(path, kinds, notes, left_out)
    else:
        files = _files(path)
        maps = _joined([file_shares(file, notes, left_out) for file in files], files, notes)
    if not set(kinds) & set(maps.data_vars):
        held = ", ".join(map(str, maps.data_vars)) or "none that is known here"
        raise UserError(f"{path} labels no {' or '.join(kinds)}. The kinds it labels: {held}.")
    template = next(iter(maps.values()))
    maps = xr.Dataset({kind: maps[kind] if kind in maps else xr.full_like(template, np.nan) for kind in kinds})
    for kind in kinds:
        maps[kind].attrs = {"units": "1", "long_name": f"share of annotators that mark {kind}"}
    maps.attrs = {
        "source": str(path), "assumptions": tuple(dict.fromkeys(notes)), "left_out": dict(left_out),
        "missing_data": "NaN marks what nobody labelled",
    }  # fmt: skip
    return maps.drop_encoding()


def _of_catalogue(path: Path, kinds: tuple[str, ...], notes: list[str], left_out: Counter[str]) -> xr.Dataset:
    events, span = catalogue_events(path, left_out)
    there = [kind for kind in KINDS if (events["kind"] == kind).any()]
    notes.append(f"events of {path} are marked in every cell whose centre is in their box, at 0, 6, 12 and 18 UTC")
    notes.append(f"what {path} does not list is taken to be absent from {span[0]} to {span[1]}")
    return drawn(events, span, [kind for kind in kinds if kind in there] or there, regular_grid(BOX_DEGREES))


def _files(path: Path) -> list[Path]:
    """The files that hold the labels of a path, or the path itself where it is one."""
    if not path.is_dir() or is_zarr(path):
        return [path]
    if (path / LABEL_MAPS).exists():
        return [path / LABEL_MAPS]
    if (path / EVENTS).exists():
        raise UserError(
            f"{path} is a world without {LABEL_MAPS}: make it again with `toolkit data world`, or name {path / EVENTS} "
            "for the boxes of its events."
        )
    files = sorted(file for file in path.rglob("*") if file.suffix in (".nc", ".nc4"))
    if not files:
        held = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise UserError(
            f"Folder {path} holds label maps in no layout that is known: no {LABEL_MAPS} of a simulated world, no "
            f"NetCDF files of ClimateNetLarge or ClimateNet. It holds: {held}. Catalogues are read by their name, as "
            f"{EVENTS}."
        )
    return files


def _joined(parts: Sequence[xr.Dataset], files: Sequence[Path], notes: list[str]) -> xr.Dataset:
    """The maps of all files on one axis of times; a kind is NaN at times that only others are labelled at."""
    import dask.array as da

    first = parts[0]
    for part, file in zip(parts, files, strict=True):
        for axis in ("latitude", "longitude"):
            if not np.array_equal(part[axis], first[axis]):
                raise UserError(f"{file} is on another grid than {files[0]}: put them into folders of their own.")
    times = np.unique(np.concatenate([part["time"].to_numpy() for part in parts]))
    kinds = list(dict.fromkeys(str(kind) for part in parts for kind in part.data_vars))
    variables = {}
    for kind in kinds:
        mine = [part[kind] for part in parts if kind in part]
        own = np.concatenate([part["time"].to_numpy() for part in mine])
        values = da.concatenate([part.data for part in mine]) if len(mine) > 1 else mine[0].data
        variables[kind] = (DIMENSIONS, _at_times(values, own, times, notes))
    axes = {axis: first[axis] for axis in ("latitude", "longitude")}
    return xr.Dataset(variables, {"time": times, **axes})


def _at_times(values: Any, own: np.ndarray, times: np.ndarray, notes: list[str]) -> Any:
    """The maps (time, lat, lon) of times `own` at `times`: the mean where one is there several times, NaN where not."""
    import dask.array as da

    order = np.argsort(own, kind="stable")
    if np.array_equal(own[order], times):
        return values if np.array_equal(order, np.arange(len(own))) else values[order]
    unique, start, count = np.unique(own[order], return_index=True, return_counts=True)
    if len(unique) < len(own):
        twice = int((count > 1).sum())
        notes.append(f"{twice} times are labelled in several files, as by several annotators: their mean is taken")
        known = [values[order[a : a + n]] for a, n in zip(start, count, strict=True)]
        values = da.concatenate([one if len(one) == 1 else da.nanmean(one, axis=0, keepdims=True) for one in known])
    else:
        values = values[order]
    if len(unique) == len(times):
        return values
    place = np.searchsorted(unique, times).clip(max=len(unique) - 1)
    place = np.where(unique[place] == times, place, len(unique))
    nothing = da.full((1, *values.shape[1:]), np.nan, dtype=values.dtype, chunks=-1)
    return da.concatenate([values, nothing])[place]
