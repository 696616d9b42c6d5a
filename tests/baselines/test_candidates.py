"""Maxima of vorticity in the windows of a made-up world."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from toolkit.baselines.candidates import FIELDS, find_candidates
from toolkit.data.store import Store
from toolkit.data.store_write import write_store
from toolkit.errors import UserError
from toolkit.examples import Examples

Hits = Callable[[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]


def test_a_maximum_is_found_between_the_pixels(clear: Examples, hits: Hits) -> None:
    """Without noise a vortex is found to a twentieth of a pixel, wherever between the pixels it lies."""
    found = find_candidates(clear, 110)
    stated, planted = hits(found.table, clear.truth)
    assert len(planted) == len(clear.truth)
    y, x = clear.pixels(planted["example"], planted["latitude"].to_numpy(), planted["longitude"].to_numpy())
    assert np.abs(stated["y"] - y).mean() < 0.05
    assert np.abs(stated["x"] - x).mean() < 0.05


def test_cyclones_of_the_other_hemisphere_are_maxima_too(across: Examples, hits: Hits) -> None:
    """A window centred on the other side of the equator shows a cyclone turning the other way, and it is found."""
    stated, planted = hits(find_candidates(across, 110).table, across.truth)
    assert len(planted) == len(across.truth)
    assert (stated["orientation"] == -1).all()
    assert (stated["poleward"] == np.sign(planted["latitude"])).all()


def test_a_field_that_the_store_lacks_is_named(world: dict[str, Examples], tmp_path: Path) -> None:
    """A store without wind is refused by the name of what is missing."""
    store = world["train"].store
    fields = {
        name: (("time", "latitude", "longitude"), np.stack([store.frame(k)[c] for k in range(4)]), {"units": "s-1"})
        for c, name in enumerate(FIELDS.names[:2])
    }
    coordinates = {"time": store.time[:4].astype("datetime64[ns]"), "latitude": store.latitude}
    coordinates |= {"longitude": store.longitude}
    gappy = {"missing_data": True}
    calm: Store = write_store(xr.Dataset(fields, coordinates, gappy), tmp_path / "store", FIELDS.names[:2])
    with pytest.raises(UserError, match="eastward_wind"):
        find_candidates(replace(world["train"], store=calm), 110)
