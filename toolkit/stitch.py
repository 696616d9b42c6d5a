"""Windows that cover the sphere, overlapping by half, and one list of detections out of what all of them show.

Windows centred north of the equator and their mirror images south of it lie symmetrically, so a mirrored atmosphere
gives mirrored detections. A detection counts where its window is the one in which it is most central; close to the
border between two windows both count, and what lies near a more probable detection of the other is the same object.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.data.covering import symmetric_windows
from toolkit.data.store import Store
from toolkit.data.windows import Windows, to_pixels
from toolkit.errors import UserError
from toolkit.geodesy import distance_km

BORDER = 1 / 16
"""Half the width of the strip in which two neighbouring windows both count, as a share of the window."""
EVEN = 6
"""Decimals to which distances from the middle of a window must agree to be the same."""


def covering(grid: tuple[int, ...], size: tuple[int, int]) -> Windows:
    """Return windows over a global grid (rows, columns) with a row at each pole, each point in one's middle half.

    The last rows before a pole are clamped to the grid. `time` is (n, 0): it is for the caller to say. Raises
    `UserError` where the window is larger than the grid.
    """
    (h, w), (rows, columns) = size, grid
    if h > rows or w > columns:
        raise UserError(f"A window of {h} x {w} pixels does not fit on a grid of {rows} x {columns}.")
    return symmetric_windows(grid, size)


def with_data(windows: Windows, known: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return which windows show at least one point of a global grid (rows, columns) that is known."""
    h, w = windows.size
    rows = windows.row[:, None, None] + np.arange(h)[:, None]
    columns = (windows.column[:, None, None] + np.arange(w)) % known.shape[1]
    return np.flatnonzero(known[rows, columns].any((1, 2)))


def stitched(
    store: Store, windows: Windows, table: pd.DataFrame, covered: NDArray[np.bool_], apart_km: float
) -> pd.DataFrame:
    """Return the detections of one time without those that another window sees better, the most probable first.

    table: `example` (the window), latitude, longitude, and, where the task states it, probability. covered (rows,
    columns): where there can be a detection at all. What two windows state nearer than `apart_km` is one object; of
    places rather than objects (0) each counts in one window only.
    """
    example = table["example"].to_numpy()
    y, x = to_pixels(store, windows, example, table["latitude"].to_numpy(), table["longitude"].to_numpy())
    y = np.where(windows.mirrored[example], windows.size[0] - 1 - y, y)
    row, column = windows.row[example] + y, windows.column[example] + x
    far = _eccentricity(windows, row, column, covered.shape)
    own, least = far[np.arange(len(table)), example], far.min(1)
    on_grid = np.rint(row).astype(int).clip(0, covered.shape[0] - 1), np.rint(column).astype(int) % covered.shape[1]
    # Places that are as central in several windows, as at the poles, count in the first of them.
    counts = own <= least + BORDER if apart_km else far.round(EVEN).argmin(1) == example
    table = table.assign(own=own)[counts & covered[on_grid]]
    rank = -table["probability"] if "probability" in table else table["own"]
    order = np.lexsort((table["longitude"], table["latitude"], rank))
    ordered = table.iloc[order].drop(columns="own")
    return (_without_doubles(ordered, apart_km) if apart_km else ordered).reset_index(drop=True)


def _eccentricity(windows: Windows, row: NDArray, column: NDArray, grid: tuple[int, ...]) -> NDArray[np.float64]:
    """Return how far points of the grid lie from the middle of each window, in window sides: (point, window).

    Infinite for windows of the other hemisphere, which see a storm turn the wrong way, except close to the equator.
    """
    (h, w), (rows, columns) = windows.size, grid
    down = row[:, None] - (windows.row + (h - 1) / 2)
    along = (column[:, None] - (windows.column + (w - 1) / 2) + columns / 2) % columns - columns / 2
    beyond_equator = np.where(windows.mirrored, -1, 1) * (row[:, None] - (rows - 1) / 2)
    far = np.maximum(np.abs(down) / h, np.abs(along) / w)
    return np.where(beyond_equator > BORDER * h, np.inf, far)


def _without_doubles(table: pd.DataFrame, apart_km: float) -> pd.DataFrame:
    """Return the rows that no earlier row of another window lies near."""
    kept: list[int] = []
    place, example = table[["latitude", "longitude"]].to_numpy(), table["example"].to_numpy()
    for i in range(len(table)):
        others = [k for k in kept if example[k] != example[i]]
        if not others or distance_km(*place[i], *place[others].T).min() > apart_km:
            kept.append(i)
    return table.iloc[kept]
