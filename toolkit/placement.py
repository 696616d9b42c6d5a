"""Where windows lie: around labelled rows at a random offset, and beside all of them; and what lies in a window."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.data.store import Store
from toolkit.data.windows import Windows, to_pixels, window_at
from toolkit.task import Task

TRIES = 12
"""How often a window's place is drawn before its row is left out."""
EDGE = 1.0
"""An object counts as in the window when it lies at least this many pixels inside the outermost ones."""


def place_rows(
    task: Task, store: Store, own: pd.DataFrame, others: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw a window's centre for every row of `own` until none of `others` lies in the window.

    Returns time, group, latitude and longitude of the centres under the index of `own`; a row may have none.
    """
    waiting, placed = own[["time", "group", "latitude", "longitude"]], []
    for _ in range(TRIES):
        centres = _shifted(task, store, waiting, rng)
        free = ~_shows_any(task, store, centres, others)
        placed.append(centres[free])
        waiting = waiting[~free]
        if waiting.empty:
            break
    return pd.concat(placed).sort_index()


def place_background(
    task: Task, store: Store, own: pd.DataFrame, labels: pd.DataFrame, rng: np.random.Generator, count: int
) -> pd.DataFrame:
    """Draw the centres of `count` windows that show none of `labels`, at times and latitudes of `own`, any longitude.

    Fewer where the labels leave little room. The group of such a window is its day.
    """
    kept, width = [own.iloc[:0][["time", "latitude", "longitude"]]], len(store.longitude) * store.longitude_spacing
    for _ in range(TRIES):
        rows = own.iloc[rng.integers(0, len(own), 2 * count)][["time", "latitude", "longitude"]]
        rows = rows.assign(longitude=store.longitude[0] + rng.uniform(0, width, len(rows)))
        centres = _shifted(task, store, rows, rng).reset_index(drop=True)
        kept.append(centres[~_shows_any(task, store, centres, labels)])
        if sum(map(len, kept)) >= count:
            break
    table = pd.concat(kept, ignore_index=True).iloc[:count]
    return table.assign(group="background " + table["time"].dt.strftime("%Y-%m-%d"))


def windows_around(store: Store, centres: pd.DataFrame, size: tuple[int, int], frames: tuple[int, ...]) -> Windows:
    """Return the windows around a table of time, latitude and longitude."""
    time = centres["time"].to_numpy("datetime64[s]")
    return window_at(store, time, centres["latitude"].to_numpy(), centres["longitude"].to_numpy(), size, frames)


def objects_in(store: Store, windows: Windows, time: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that lie in each window at its time, with its number as the column `example` in front."""
    at = pd.DataFrame({"example": np.arange(len(windows)), "time": time.to_numpy()})
    pairs = at.merge(rows, on="time", how="inner")
    place = (pairs["example"].to_numpy(), pairs["latitude"].to_numpy(), pairs["longitude"].to_numpy())
    y, x = to_pixels(store, windows, *place)
    inside = well_inside(y, windows.size[0]) & well_inside(x, windows.size[1])
    return pairs[inside].drop(columns="time").sort_values("example", kind="stable").reset_index(drop=True)


def well_inside(pixel: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    """Return whether a coordinate lies at least `EDGE` inside a side of so many pixels."""
    return (pixel >= EDGE) & (pixel <= side - 1 - EDGE)


def _shifted(task: Task, store: Store, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows with latitude and longitude moved to the centre of a window that keeps them inside the margin."""
    half, margin = (np.array(task.inputs.window) - 1) / 2, task.placement.margin
    reach = np.zeros(2) if margin is None else np.maximum(half - margin, 0)
    shift = rng.uniform(-1, 1, (len(rows), 2)) * reach * [store.latitude_spacing, store.longitude_spacing]
    return rows.assign(
        latitude=(rows["latitude"] + shift[:, 0]).clip(-89, 89), longitude=(rows["longitude"] + shift[:, 1]) % 360
    )


def _shows_any(task: Task, store: Store, centres: pd.DataFrame, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return whether any of `rows` lies in the window around each centre at its time."""
    windows = windows_around(store, centres, task.inputs.window, (0,))
    shown = np.zeros(len(centres), bool)
    shown[objects_in(store, windows, centres["time"], rows)["example"]] = True
    return shown
