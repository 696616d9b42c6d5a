"""Label maps as data sets give them: the layouts of ClimateNetLarge and of ClimateNet, a file at a time.

ClimateNetLarge (Kim et al. 2025, doi:10.1038/s41597-025-05480-0; ERA5's 0.25 degree grid, two annotators): the variable
`label`, or `labels`, with dimensions (time, class, annotator, latitude, longitude) of which a file may lack any of the
first three; above 0 where the annotator marks a cell. The coordinate `class` holds names such as "Atmospheric River
(AR)". Its files for river and cyclone hold one time each and are named by it, in folders named by the class.

ClimateNet (Prabhat et al. 2021, doi:10.5194/gmd-14-107-2021; CAM5.1, 768 by 1152 cells): files named as
data-1996-06-09-01-1.nc with the fields TMQ, U850, V850, PSL and more (time, lat, lon), whose coordinate `time` holds
the file's name, and LABELS (lat, lon): 0 background, 1 tropical cyclone, 2 atmospheric river.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from toolkit.data.coordinates import Notes, on_latitude_longitude, on_time
from toolkit.data.label_kinds import kind_called, kind_in_folder
from toolkit.data.opening import in_chunks, opened
from toolkit.errors import UserError

DIMENSIONS = ("time", "latitude", "longitude")
ORDER = ("Atmospheric River (AR)", "Tropical Cyclone (TC)", "Blocking Event (BE)")
"""The classes of ClimateNetLarge; its makers write the first two together and blocking apart."""
CLIMATENET = {1: "tropical_cyclone", 2: "filament"}


def file_shares(address: Path, notes: Notes, left_out: Counter[str]) -> xr.Dataset:
    """Return the share of annotators that mark each cell, for each kind that a file has, lazily.

    One float32 variable (time, latitude, longitude) a kind, axes as in `toolkit.data.dialects`, NaN where no annotator
    says anything. Raises UserError for a file of another layout and for classes that nobody knows.
    """
    source = str(address)
    raw = opened(source)[0]
    if "LABELS" in raw:
        shares = _climatenet(raw, source)
    elif name := next((name for name in ("label", "labels") if name in raw), None):
        shares = _climatenet_large(raw[name], source, notes, left_out)
    else:
        held = ", ".join(f"'{name}'" for name in raw.data_vars) or "nothing"
        raise UserError(
            f"{source} holds label maps in no layout that is known: neither 'label' or 'labels', as ClimateNetLarge "
            f"and simulated worlds have it, nor 'LABELS', as ClimateNet has it. It holds: {held}."
        )
    shares = on_time(on_latitude_longitude(shares, source, notes), source, notes)
    for variable in shares.values():
        if set(variable.dims) != set(DIMENSIONS):
            raise UserError(f"The labels of {source} have dimensions {variable.dims} beside class and annotator.")
    return shares.reset_coords(set(shares.coords) - set(DIMENSIONS), drop=True).transpose(*DIMENSIONS)


def _climatenet(raw: xr.Dataset, source: str) -> xr.Dataset:
    labels = raw["LABELS"]
    if "time" not in labels.dims and "time" in raw.dims:
        if raw.sizes["time"] > 1:
            raise UserError(f"LABELS of {source} has no time, but the file holds {raw.sizes['time']} times: split it.")
        labels = labels.expand_dims(time=raw["time"])
    labels = in_chunks(labels.to_dataset(name="labels"))["labels"]
    known = labels.isin([0, *CLIMATENET])
    return xr.Dataset({kind: (labels == number).astype(np.float32).where(known) for number, kind in CLIMATENET.items()})


def _climatenet_large(labels: xr.DataArray, source: str, notes: Notes, left_out: Counter[str]) -> xr.Dataset:
    names = _class_names(labels, source, notes)
    if "ts" in labels.coords:  # as the makers' own scripts call the time
        labels = labels.rename(ts="time")
    labels = labels.expand_dims([axis for axis in ("class", "annotator") if axis not in labels.dims])
    chunked = in_chunks(labels.to_dataset(name="labels"))["labels"].chunk(annotator=-1)
    shares = xr.apply_ufunc(
        _share, chunked, input_core_dims=[["annotator"]], dask="parallelized", output_dtypes=[np.float32]
    )
    found: dict[str, xr.DataArray] = {}
    for number, name in enumerate(names):
        kind = kind_called(name)
        if kind is None:
            left_out[f"maps of class '{name}', which is none of the kinds of events"] += labels.sizes.get("time", 1)
        elif kind in found:
            raise UserError(f"Two classes of {source}, '{name}' and another, are both {kind}: drop one of them.")
        else:
            found[kind] = shares.isel({"class": number}).reset_coords(drop=True)
    return xr.Dataset(found, {name: axis for name, axis in labels.coords.items() if name not in ("class", "annotator")})


def _share(values: NDArray) -> NDArray[np.float32]:
    """Return the share of the last axis that is above 0 among what is known of it."""
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    marked, count = (values > 0).sum(-1), known.sum(-1)
    return np.divide(marked, count, out=np.full(count.shape, np.nan, np.float32), where=count > 0, casting="unsafe")


def _class_names(labels: xr.DataArray, source: str, notes: Notes) -> list[str]:
    """The names of the classes: the coordinate's, else ClimateNetLarge's in their order, else that of the folder."""
    if "class" in labels.coords and labels["class"].dtype.kind in "OUS":
        return np.atleast_1d(labels["class"].values).astype(str).tolist()
    count = labels.sizes.get("class", 1)
    if count == 1:
        parts = Path(source).parts
        kinds = [kind for part in (*parts[:-1], Path(source).stem) if (kind := kind_in_folder(part))]
        if kinds:
            notes.append(f"labels that name no class are taken to be of {kinds[-1]}, by the name of their folder")
            return kinds[-1:]
    elif count <= len(ORDER):
        names = list(ORDER[:count])
        notes.append(f"classes that have no name are taken in the order of ClimateNetLarge: {', '.join(names)}")
        return names
    raise UserError(
        f"The labels of {source} do not say what their {count} class(es) are: add a coordinate 'class' of names such "
        f"as 'tropical_cyclone', or put the files into folders such as AR, TC and blocking."
    )
