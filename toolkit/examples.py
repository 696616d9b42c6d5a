"""From a table of labelled rows to windows on the store: split by year and group, subset by group, cut, found again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.windows import Windows, read_windows, to_degrees, to_pixels, window_at, window_latitudes
from toolkit.errors import UserError
from toolkit.geodesy import KM_PER_DEGREE
from toolkit.task import Task

TRIES = 12
"""How often a window's place is drawn before its row is left out."""
EDGE = 1.0
"""An object counts as in the window when it lies at least this many pixels inside."""


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

    def with_frames(self, frames: tuple[int, ...]) -> "Examples":
        """Return the same windows with other frames (hours from the analysis time)."""
        wanted = self.table["time"].to_numpy("datetime64[s]")[:, None] + (np.array(frames) * 3600).astype("m8[s]")
        found = np.searchsorted(self.store.time, wanted).clip(max=len(self.store.time) - 1)
        time = np.where(self.store.time[found] == wanted, found, -1)
        return replace(self, windows=replace(self.windows, time=time))

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


def group_years(labels: pd.DataFrame) -> pd.Series:
    """Return the year each group belongs to, that of its first row."""
    return pd.to_datetime(labels.groupby("group")["time"].min()).dt.year


def chosen_groups(groups: Sequence[str], count: int | None, seed: int) -> tuple[str, ...]:
    """Return `count` of the groups (all for None) in an order drawn by hash: a smaller budget is part of a larger one."""
    ordered = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    if count is not None and count > len(ordered):
        raise UserError(f"--labels {count} asks for more than the {len(ordered)} labelled groups of the training years.")
    return tuple(sorted(ordered[:count]))


def cut_examples(task: Task, store: Store, labels: pd.DataFrame, groups: Sequence[str], seed: int) -> Examples:
    """Cut one window per labelled row of `groups`, and background windows beside them.

    No window shows a row of a group that is not in `groups`: what is not labelled cannot be learned as absent.
    """
    labels = labels[np.isin(labels["time"].to_numpy("datetime64[s]"), store.time)].reset_index(drop=True)
    own = labels[labels["group"].isin(groups)].reset_index(drop=True)
    others = labels[~labels["group"].isin(groups)]
    rng = np.random.default_rng([seed, 11])
    anchors, left_out = _place(task, store, own, others, rng)
    background = _place_background(task, store, own, labels, rng, round(task.placement.background * len(anchors)))
    table = pd.concat([anchors, background], ignore_index=True)
    table.index.name = "example"
    place = (table["time"].to_numpy("datetime64[s]"), table["latitude"].to_numpy(), table["longitude"].to_numpy())
    windows = window_at(store, *place, task.inputs.window, task.inputs.frames)
    bare = Examples(store, windows, table[["time", "group"]], labels.iloc[:0].assign(example=0), left_out)
    return replace(bare, truth=_objects_in(bare, own))


def _place(
    task: Task, store: Store, own: pd.DataFrame, others: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Draw a window centre for every row until no foreign row lies in the window; rows without one are left out."""
    waiting, placed = own[["time", "group", "latitude", "longitude"]], []
    for _ in range(TRIES):
        centres = _shifted(task, store, waiting, rng)
        free = ~_shows_any(task, store, centres, others)
        placed.append(centres[free])
        waiting = waiting[~free]
        if waiting.empty:
            break
    table = pd.concat(placed).sort_index()
    return table, {"beside an unlabelled object": len(waiting)} if len(waiting) else {}


def _shifted(task: Task, store: Store, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows with latitude and longitude moved to a window's centre that keeps them inside the margin."""
    h, w = task.inputs.window
    reach = np.array([h / 2 - task.placement.margin, w / 2 - task.placement.margin])
    shift = rng.uniform(-1, 1, (len(rows), 2)) * reach * [store.latitude_spacing, store.longitude_spacing]
    return rows.assign(
        latitude=(rows["latitude"] + shift[:, 0]).clip(-89, 89), longitude=(rows["longitude"] + shift[:, 1]) % 360
    )


def _place_background(
    task: Task, store: Store, own: pd.DataFrame, labels: pd.DataFrame, rng: np.random.Generator, count: int
) -> pd.DataFrame:
    """Draw windows without any labelled row, at the times and latitudes of `own` rows and any longitude."""
    kept: list[pd.DataFrame] = []
    while sum(map(len, kept)) < count:
        rows = own.iloc[rng.integers(0, len(own), 2 * count)][["time", "latitude", "longitude"]]
        rows = rows.assign(longitude=rng.uniform(0, 360, len(rows)), group="")
        centres = _shifted(task, store, rows, rng).reset_index(drop=True)
        free = centres[~_shows_any(task, store, centres, labels)]
        if free.empty and len(kept) > TRIES:
            break
        kept.append(free)
    if not kept:
        return own.iloc[:0][["time", "group", "latitude", "longitude"]]
    table = pd.concat(kept, ignore_index=True).iloc[:count]
    return table.assign(group=["background " + str(time)[:10] for time in table["time"]])


def _shows_any(task: Task, store: Store, centres: pd.DataFrame, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return whether any of `rows` lies in the window around each centre at its time."""
    place = (centres["time"].to_numpy("datetime64[s]"), centres["latitude"].to_numpy(), centres["longitude"].to_numpy())
    windows = window_at(store, *place, task.inputs.window, (0,))
    table = pd.DataFrame({"time": centres["time"].to_numpy(), "group": ""}).rename_axis("example")
    found = _objects_in(Examples(store, windows, table, rows, {}), rows)
    shown = np.zeros(len(centres), bool)
    shown[found["example"]] = True
    return shown


def _objects_in(examples: Examples, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that lie in each window at its time, with the column `example` in front."""
    pairs = examples.table.reset_index()[["example", "time"]].merge(rows, on="time", how="inner")
    y, x = examples.pixels(pairs["example"], pairs["latitude"].to_numpy(), pairs["longitude"].to_numpy())
    h, w = examples.windows.size
    inside = (y >= EDGE) & (y <= h - 1 - EDGE) & (x >= EDGE) & (x <= w - 1 - EDGE)
    return pairs[inside].drop(columns="time").sort_values("example", kind="stable").reset_index(drop=True)


def kilometres_per_pixel(store: Store) -> float:
    """Return the north-south size of a pixel, km."""
    return store.latitude_spacing * KM_PER_DEGREE
