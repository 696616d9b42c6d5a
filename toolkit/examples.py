"""From a table of labelled rows to windows on the store: split by year and group, subset by group, cut, found again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.windows import Windows, read_windows, to_degrees, to_pixels, window_latitudes
from toolkit.errors import UserError
from toolkit.geodesy import KM_PER_DEGREE
from toolkit.placement import EDGE as EDGE
from toolkit.placement import objects_in, place_background, place_rows, well_inside, windows_around
from toolkit.task import Task

MOST_COPIES = 8
"""How often a row is cut at most: windows of one row soon resemble each other."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows with what is in them.

    `table`: one row per window, index `example` 0..n-1, columns time, group. `truth`: one row per labelled object in a
    window: example, then the columns of the task's labels. `left_out`: why rows have no window, with counts.
    """

    store: Store
    windows: Windows
    table: pd.DataFrame
    truth: pd.DataFrame
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.table)

    def pixels(self, example: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> tuple[NDArray, NDArray]:
        """Return pixel coordinates (y, x) of points, each in its example's window; all of shape (k,)."""
        return to_pixels(self.store, self.windows, np.asarray(example), latitude, longitude)

    def degrees(self, example: ArrayLike, y: ArrayLike, x: ArrayLike) -> tuple[NDArray, NDArray]:
        """Return (latitude, longitude) of pixel coordinates, the inverse of `pixels`."""
        return to_degrees(self.store, self.windows, np.asarray(example), y, x)

    def mirrored(self, example: ArrayLike) -> NDArray[np.bool_]:
        """Return whether each example's window is reflected about the equator."""
        return self.windows.mirrored[np.asarray(example)]

    def fields(self, normalisation: Normalisation, index: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
        """Return normalised fields (n, t, c, h, w) of all or the chosen windows, NaN where missing."""
        return read_windows(self.store, self.windows, self._index(index), normalisation)

    def latitudes(self, index: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Return the latitude (n, h) of each window's rows, reflected for mirrored ones, degrees."""
        return window_latitudes(self.store, self.windows, self._index(index))

    def subset(self, index: NDArray[np.integer]) -> "Examples":
        """Return the examples at `index`, numbered anew in that order."""
        number = np.full(len(self), -1)
        number[index] = np.arange(len(index))
        truth = self.truth[number[self.truth["example"]] >= 0]
        truth = truth.assign(example=number[truth["example"]])
        w = self.windows
        windows = Windows(w.time[index], w.row[index], w.column[index], w.mirrored[index], w.size)
        table = self.table.iloc[index].reset_index(drop=True).rename_axis("example")
        return Examples(self.store, windows, table, truth, self.left_out)

    def _index(self, index: NDArray[np.integer] | None) -> NDArray[np.integer]:
        return np.arange(len(self)) if index is None else index


@dataclass(frozen=True)
class Years:
    """The years of each part; a group belongs to the year of its first row."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def split_years(years: Sequence[int]) -> Years:
    """Return the last quarter of the years as test, the sixth before it as validation, the rest for training."""
    ordered = sorted(set(years))
    if len(ordered) < 3:
        raise UserError(
            f"The labels cover {len(ordered)} year(s), {ordered}: train, validation and test need one each at least."
        )
    test, validation = max(1, len(ordered) // 4), max(1, len(ordered) // 6)
    cut = len(ordered) - test - validation
    return Years(tuple(ordered[:cut]), tuple(ordered[cut:-test]), tuple(ordered[-test:]))


def split_groups(labels: pd.DataFrame, store: Store, gap_days: float) -> tuple[Years, dict[str, list[str]]]:
    """Return the years of the parts and the groups of each, whole, of the rows that the store has fields for.

    A group that has a row within `gap_days` of a later part is left out: weather so near resembles that of the test.
    """
    timely = labels[np.isin(labels["time"].to_numpy("datetime64[s]"), store.time)]
    span = timely.groupby("group")["time"].agg(["min", "max"])
    years = split_years(span["min"].dt.year.tolist())
    groups: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    limit = pd.Timestamp.max
    for part in reversed(groups):
        mine = span[span["min"].dt.year.isin(getattr(years, part)) & (span["max"] < limit)]
        groups[part] = mine.index.tolist()
        limit = min([limit, *(mine["min"] - pd.Timedelta(days=gap_days))])
    return years, groups


def chosen_groups(groups: Sequence[str], count: int | None, seed: int) -> tuple[str, ...]:
    """Return `count` of the groups (None: all) in an order drawn by hash: a smaller budget is part of a larger one."""
    ordered = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    if count is not None and count > len(ordered):
        raise UserError(
            f"--labels {count} asks for more than the {len(ordered)} labelled groups of the training years."
        )
    return tuple(sorted(ordered[:count]))


def cut_examples(
    task: Task, store: Store, labels: pd.DataFrame, groups: Sequence[str], seed: int, recut: bool = False
) -> Examples:
    """Cut one window per labelled row of `groups`, or where they are few and `recut` several; and background windows.

    No window shows a row of a group that is not in `groups`: what is not labelled cannot be learned as absent. Raises
    `UserError` where no row can have a window.
    """
    mine = labels["group"].isin(groups).to_numpy()
    timely, inside = np.isin(labels["time"].to_numpy("datetime64[s]"), store.time), _in_fields(store, labels)
    left_out = {"no field at their time": mine & ~timely, "outside the fields": mine & timely & ~inside}
    own = labels[mine & timely & inside].reset_index(drop=True)
    if own.empty:
        raise UserError(
            f"None of the {mine.sum()} labelled rows lies in the fields of {store.path}, {store.time[0]} to "
            f"{store.time[-1]}. Take fields and labels of the same years and region."
        )
    shown = labels[timely]
    rng = np.random.default_rng([seed, 11])
    copies = _copies(task, len(own)) if recut else 1
    wanted = pd.concat([own] * copies, ignore_index=True)
    anchors = place_rows(task, store, wanted, shown[~shown["group"].isin(groups)], rng)
    background = place_background(task, store, own, shown, rng, round(task.placement.background * len(anchors)))
    table = pd.concat([anchors, background], ignore_index=True).rename_axis("example")
    windows = windows_around(store, table, task.inputs.window, task.inputs.frames)
    hopeless = len(own) - (anchors.index % len(own)).nunique()
    counts = {why: int(rows.sum()) for why, rows in left_out.items()} | {"beside an unlabelled object": hopeless}
    truth = objects_in(store, windows, table["time"], own)
    return Examples(store, windows, table[["time", "group"]], truth, {why: n for why, n in counts.items() if n})


def _copies(task: Task, rows: int) -> int:
    """Return how often each of so many rows is cut."""
    return min(MOST_COPIES, max(1, int(task.placement.most_recut / (rows * (1 + task.placement.background)))))


def _in_fields(store: Store, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows lie so far inside the store's grid that a window can show them."""
    none, size = np.zeros(len(rows), int), (len(store.latitude), len(store.longitude))
    whole = Windows(none[:, None], none, none, none.astype(bool), size)
    y, x = to_pixels(store, whole, np.arange(len(rows)), rows["latitude"].to_numpy(), rows["longitude"].to_numpy())
    return well_inside(y, size[0]) & (store.wraps | well_inside(x, size[1]))


def kilometres_per_pixel(store: Store) -> float:
    """Return the north-south size of a pixel, km."""
    return store.latitude_spacing * KM_PER_DEGREE
