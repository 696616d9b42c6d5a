"""Windows with what is in them: cut around labelled rows, found again, read as fields, maps and columns."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from toolkit.data.normalise import Normalisation
from toolkit.data.store import NO_FIELDS, Store
from toolkit.data.windows import Windows, frames_at, read_windows, to_degrees, to_pixels, window_latitudes
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

    `table`: one row per window, index `example` 0..n-1, columns time, group, and the input columns. `truth`: one row
    per labelled object in a window, or where rows are examples one per window: example, then the columns of the
    task's labels. `left_out`: why rows have no window, with counts. `label_maps`: the fields that are to be predicted,
    on the grid of `store`; without any, as without fields, an empty store.
    """

    store: Store
    windows: Windows
    table: pd.DataFrame
    truth: pd.DataFrame
    left_out: dict[str, int]
    label_maps: Store = NO_FIELDS

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

    def maps(self, frames: tuple[int, ...], index: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
        """Return the label maps (n, t, k, h, w) at `frames`, hours from each window's time, NaN where not known."""
        index, w = self._index(index), self.windows
        time = self.table["time"].to_numpy("datetime64[s]")
        there = Windows(frames_at(self.label_maps, time, frames), w.row, w.column, w.mirrored, w.size)
        return read_windows(self.label_maps, there, index, _as_they_are(self.label_maps))

    def subset(self, index: NDArray[np.integer]) -> "Examples":
        """Return the examples at `index`, numbered anew in that order."""
        number = np.full(len(self), -1)
        number[index] = np.arange(len(index))
        truth = self.truth[number[self.truth["example"]] >= 0]
        truth = truth.assign(example=number[truth["example"]]).sort_values("example", kind="stable")
        w = self.windows
        windows = Windows(w.time[index], w.row[index], w.column[index], w.mirrored[index], w.size)
        table = self.table.iloc[index].reset_index(drop=True).rename_axis("example")
        return Examples(self.store, windows, table, truth, self.left_out, self.label_maps)

    def _index(self, index: NDArray[np.integer] | None) -> NDArray[np.integer]:
        return np.arange(len(self)) if index is None else index


def cut_examples(
    task: Task,
    store: Store,
    labels: pd.DataFrame,
    own: NDArray[np.bool_],
    seed: int,
    recut: bool = False,
    label_maps: Store = NO_FIELDS,
) -> Examples:
    """Cut one window per row of `labels` that is `own`, several where they are few and `recut`; and background windows.

    Of objects, no window shows a row that is not `own`: what is not labelled cannot be learned as absent. Raises
    `UserError` where no row can have a window.
    """
    if not task.sees_fields:
        return _rows_alone(task, labels[own].reset_index(drop=True))
    inside = _in_fields(store, labels)
    rows = labels[own & inside].reset_index(drop=True)
    if rows.empty:
        raise UserError(
            f"None of the {own.sum()} labelled rows lies inside the fields of {store.path}. Take fields and labels of "
            "the same region."
        )
    rng = np.random.default_rng([seed, 11])
    copies = copies_of(task, len(rows)) if recut else 1
    wanted = pd.concat([rows] * copies, ignore_index=True)
    hidden = labels[~own] if task.placement.objects else labels.iloc[:0]
    anchors = place_rows(task, store, wanted, hidden, rng)
    if anchors.empty:
        raise UserError(
            f"Every window around the {len(rows)} labelled rows would show an object that is not labelled. Label more "
            f"{task.groups}."
        )
    count = round(task.placement.background * len(anchors))
    background = place_background(task, store, rows, labels, rng, count)
    table = pd.concat([anchors, background], ignore_index=True).rename_axis("example")
    windows = windows_around(store, table, task.inputs.window, task.inputs.frames)
    hopeless = len(rows) - (anchors.index % len(rows)).nunique()
    counts = {"outside the fields": int((own & ~inside).sum()), "beside an unlabelled object": hopeless}
    counts = {why: n for why, n in counts.items() if n}
    if task.placement.objects:
        truth = objects_in(store, windows, table["time"], rows)
        return Examples(store, windows, table[["time", "group"]], truth, counts, label_maps)
    truth = wanted.loc[anchors.index].reset_index(drop=True)
    known = pd.concat([table[["time", "group"]], truth[list(task.inputs.columns)]], axis=1).rename_axis("example")
    return Examples(store, windows, known, _numbered(truth), counts, label_maps)


def joined(first: Examples, second: Examples) -> Examples:
    """Return the examples of both, cut from the same store, those of the second numbered on."""
    a, b = first.windows, second.windows
    time, row, column, mirrored = (
        np.concatenate([getattr(a, name), getattr(b, name)]) for name in ("time", "row", "column", "mirrored")
    )
    windows = Windows(time, row, column, mirrored, a.size)
    table = pd.concat([first.table, second.table], ignore_index=True).rename_axis("example")
    moved = second.truth.assign(example=second.truth["example"] + len(first))
    truth = pd.concat([first.truth, moved], ignore_index=True)
    return Examples(first.store, windows, table, truth, first.left_out, first.label_maps)


def unseen_maps(task: Task, examples: Examples) -> list[str]:
    """Return the variables of the task's label maps that no window shows an example of, in any frame."""
    if task.maps is None:
        return []
    shown = np.asarray((examples.maps(task.maps.frames) > 0).any((0, 1, 3, 4)))
    return [name for name, seen in zip(task.maps.variables, shown, strict=True) if not seen]


def _rows_alone(task: Task, rows: pd.DataFrame) -> Examples:
    """Return rows as examples without a window."""
    none = np.zeros(len(rows), np.int64)
    windows = Windows(np.zeros((len(rows), 0), np.int64), none, none, none.astype(bool), (0, 0))
    known = list(dict.fromkeys(name for name in ("time", "group", *task.inputs.columns) if name in rows))
    return Examples(NO_FIELDS, windows, rows[known].rename_axis("example"), _numbered(rows), {})


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with their number as the column `example` in front."""
    return rows.rename_axis("example").reset_index()


def _as_they_are(store: Store) -> Normalisation:
    """Return the normalisation that leaves the values of a store as they are."""
    n = len(store.names)
    return Normalisation(store.names, tuple(c.units for c in store.channels), (0.0,) * n, (1.0,) * n)


def copies_of(task: Task, rows: int) -> int:
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
