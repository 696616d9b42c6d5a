"""Windows of smooth fields, with label maps of boxes that drift eastward."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tasks.extremes.task import extremes
from toolkit.data.label_kinds import KINDS
from toolkit.data.store import Store
from toolkit.data.store_write import write_store
from toolkit.examples import Examples, cut_examples


@pytest.fixture(scope="session")
def label_maps(tmp_path_factory: pytest.TempPathFactory, smooth_store: Store) -> Store:
    """A box of 8 by 8 pixels for each kind but the last, which nobody labelled; they drift a pixel each six hours."""
    shape = (len(smooth_store.time), len(smooth_store.latitude), len(smooth_store.longitude))
    maps = {kind: np.zeros(shape, np.float32) for kind in KINDS}
    for k, kind in enumerate(KINDS):
        for time in range(shape[0]):
            columns = np.arange(20 * k + time, 20 * k + time + 8) % shape[2]
            maps[kind][time, 18 + 3 * k : 26 + 3 * k, columns] = 1.0
    maps[KINDS[-1]][:] = np.nan
    coordinates = {
        "time": smooth_store.time.astype("M8[ns]"),
        "latitude": smooth_store.latitude,
        "longitude": smooth_store.longitude,
    }
    fields = {kind: (("time", "latitude", "longitude"), values, {"units": "1"}) for kind, values in maps.items()}
    dataset = xr.Dataset(fields, coordinates).assign_attrs(missing_data="NaN marks what nobody labelled")
    folder: Path = tmp_path_factory.mktemp("maps")
    return write_store(dataset, folder / "maps", KINDS, may_be_constant=True)


@pytest.fixture(scope="session")
def examples(smooth_store: Store, label_maps: Store) -> Examples:
    """Windows in both hemispheres at ten times, some of them where the boxes are."""
    time = pd.to_datetime(smooth_store.time[2:22:2])
    rows = pd.DataFrame({"time": np.repeat(time, 4), "group": np.repeat([f"p{k}" for k in range(5)], 8)})
    rows["latitude"] = np.tile([25.0, 25.0, -25.0, 40.0], 10)
    rows["longitude"] = np.tile([30.0, 100.0, 200.0, 350.0], 10)
    task = extremes(lead=(1, 2))
    return cut_examples(task, smooth_store, rows, np.ones(len(rows), bool), seed=0, label_maps=label_maps)
