"""Labels of the extremes task: maps that say where each kind of event is, and the windows that are cut from them."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.data.label_kinds import KINDS
from toolkit.data.label_maps import open_label_maps

CENTRES = tuple(product((-52.5, -22.5, 22.5, 52.5), np.arange(0, 360, 45.0)))
"""Windows of 45 degrees about these places cover all but the polar caps, twice where the latitudes overlap."""
WINDOWS_PER_MAP = 8
"""How many of the places are taken of one map: windows of one moment resemble each other."""
PENTAD_DAYS = 5


def rows_for(leads: Sequence[int]) -> Callable[[Path], pd.DataFrame]:
    """Return the function from the path of label maps to its rows, for events `leads` days after the analysis time.

    One analysis a day is taken, the first of which a later map is known at one of the leads. A row is a window of it:
    time, latitude and longitude of its middle, and group, the five days (pentad) it falls into, so that maps of one
    and the same event seldom count as two.
    """

    def rows(path: Path) -> pd.DataFrame:
        maps = open_label_maps(path, KINDS)
        known = maps["time"].to_numpy().astype("datetime64[s]")
        analyses = np.unique(np.concatenate([known - np.timedelta64(lead, "D") for lead in leads]))
        days = analyses.astype("datetime64[D]")
        first = analyses[np.unique(days, return_index=True)[1]]
        table = pd.concat([_windows(time) for time in first], ignore_index=True)
        year, pentad = table["time"].dt.year, (table["time"].dt.day_of_year - 1) // PENTAD_DAYS
        table["group"] = year.astype(str) + "-pentad" + (pentad + 1).astype(str).str.zfill(2)
        table.attrs["left_out"] = dict(maps.attrs.get("left_out", {}))
        return table

    return rows


def _windows(time: np.datetime64) -> pd.DataFrame:
    """Return the windows of one analysis, drawn from its time alone."""
    rng = np.random.default_rng(int(time.astype("datetime64[s]").astype(np.int64)) // 3600)
    chosen = [CENTRES[k] for k in rng.permutation(len(CENTRES))[:WINDOWS_PER_MAP]]
    return pd.DataFrame(chosen, columns=["latitude", "longitude"]).assign(time=time)
