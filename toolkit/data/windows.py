"""Windows on a store: where they lie, the fast read of many at once, and the way between degrees and pixels.

A window is a picture in pixels of the store's grid, row 0 in the north. One whose centre lies south of the equator
is `mirrored`: reflected about the equator, so that a model sees every storm turn the northern way.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from toolkit.data.normalise import Normalisation
from toolkit.data.store import Channel, Store
from toolkit.errors import UserError, unknown
from toolkit.geodesy import longitude_difference, wrapped_longitude

# A reflection about the equator reverses the northward wind, and with it the sense of turning; all else stays.
ODD_UNDER_REFLECTION = frozenset({"vorticity", "northward_wind"})


@dataclass(frozen=True, eq=False)
class Windows:
    """Where n windows lie in a store.

    time (n, t): index of each frame, -1 where there is none, which reads as NaN; row, column (n,): north-west corner;
    mirrored (n,): whether the window is reflected about the equator; size: (h, w).
    """

    time: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.row)


def window_at(
    store: Store,
    time: ArrayLike,
    latitude: ArrayLike,
    longitude: ArrayLike,
    size: tuple[int, int],
    frames: tuple[float, ...] = (0,),
) -> Windows:
    """Return windows centred on n points, to half a pixel, shifted to stay on the grid at a pole or a region's edge.

    time (n,) datetime64; latitude, longitude (n,) degrees; frames: hours from `time`, one frame each.
    UserError where the grid is smaller than the window.
    """
    h, w = size
    rows, columns = len(store.latitude), len(store.longitude)
    if h > rows or w > columns:
        raise UserError(f"A window of {h} x {w} pixels does not fit on a grid of {rows} x {columns}.")
    row = _rounded(_row_of(store, latitude) - (h - 1) / 2).clip(0, rows - h)
    middle = (store.longitude[0] + store.longitude[-1]) / 2
    column = _rounded(longitude_difference(longitude, middle) / store.longitude_spacing + (columns - w) / 2)
    column = column % columns if store.wraps else column.clip(0, columns - w)
    centre = (store.latitude[row] + store.latitude[row + h - 1]) / 2
    return Windows(frames_at(store, time, frames), row, column, centre < 0, size)


def frames_at(store: Store, time: ArrayLike, frames: tuple[float, ...]) -> NDArray[np.int64]:
    """Return where in the store the frames, hours from each of `time` (n,), are: (n, t), -1 where there is none."""
    offsets = (np.array(frames) * 3600).astype("timedelta64[s]")
    wanted = np.asarray(time, "datetime64[s]")[:, None] + offsets
    found = np.searchsorted(store.time, wanted).clip(max=len(store.time) - 1)
    return np.where(store.time[found] == wanted, found, -1)


def read_windows(
    store: Store, windows: Windows, index: NDArray[np.integer], normalisation: Normalisation | None = None
) -> NDArray[np.float32]:
    """Return the windows at `index` (b,) as (b, t, c, h, w): (physical value - mean) / standard deviation.

    normalisation: its channels, in its order, are read; None takes the store's. UserError where the store lacks one
    or has it in other units.
    """
    normalisation = normalisation or store.normalisation
    channels = _channels(store, normalisation)
    stored = _copied(store, windows, index, max(channels) + 1)
    if channels != list(range(stored.shape[2])):
        stored = stored[:, :, channels]
    factor, shift = (
        torch.from_numpy(values[windows.mirrored[index].astype(int), None, :, None, None])
        for values in _affine([store.channels[c] for c in channels], normalisation)
    )
    # Torch widens float16 with the processor's own instruction, nine times as fast as NumPy's astype.
    return torch.from_numpy(stored).float().mul_(factor).add_(shift).numpy()


def to_pixels(
    store: Store, windows: Windows, index: NDArray[np.integer], latitude: ArrayLike, longitude: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where points lie in the windows at `index` (b,), in pixels (y, x) from the first pixel's centre.

    latitude, longitude: degrees, (b, ...). Points outside get the values of the grid carried on.
    """
    h, w = windows.size
    north, west = (_along(corner[index], latitude) for corner in (windows.row, windows.column))
    y = _row_of(store, latitude) - north
    middle = store.longitude[0] + (west + (w - 1) / 2) * store.longitude_spacing
    x = longitude_difference(longitude, middle) / store.longitude_spacing + (w - 1) / 2
    return np.where(_along(windows.mirrored[index], latitude), h - 1 - y, y), x


def to_degrees(
    store: Store, windows: Windows, index: NDArray[np.integer], y: ArrayLike, x: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (latitude, longitude in [0, 360)) of pixels (b, ...): the inverse of `to_pixels`."""
    north, west, mirrored = (_along(v[index], y) for v in (windows.row, windows.column, windows.mirrored))
    row = north + np.where(mirrored, windows.size[0] - 1 - np.asarray(y), y)
    latitude = np.interp(row, *_extended(store))
    return latitude, wrapped_longitude(store.longitude[0] + np.add(west, x) * store.longitude_spacing)


def window_latitudes(store: Store, windows: Windows, index: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the latitude of each row (b, h) in degrees as the picture shows it: of a mirrored window, reflected."""
    latitude = store.latitude[windows.row[index, None] + np.arange(windows.size[0])]
    return np.where(windows.mirrored[index, None], -latitude[:, ::-1], latitude)


def _copied(store: Store, windows: Windows, index: NDArray[np.integer], channels: int) -> NDArray[np.float16]:
    """Copy the first channels of windows as they are stored, (b, t, channels, h, w), reflected where mirrored."""
    (h, w), values = windows.size, store.values[:, :channels]
    stored = np.empty((len(index), windows.time.shape[1], channels, h, w), np.float16)
    reflected = stored[..., ::-1, :]
    corners = (array[index].tolist() for array in (windows.time, windows.row, windows.column, windows.mirrored))
    for i, (times, row, column, mirrored) in enumerate(zip(*corners, strict=True)):
        window = reflected[i] if mirrored else stored[i]
        seam = len(store.longitude) - column
        for j, time in enumerate(times):
            if time < 0:
                window[j] = np.nan
            elif seam >= w:
                window[j] = values[time, :, row : row + h, column : column + w]
            else:
                window[j, ..., :seam] = values[time, :, row : row + h, column:]
                window[j, ..., seam:] = values[time, :, row : row + h, : w - seam]
    return stored


def _channels(store: Store, normalisation: Normalisation) -> list[int]:
    """Return where the store keeps each channel of the normalisation."""
    for name, units in zip(normalisation.names, normalisation.units, strict=True):
        if name not in store.names:
            raise unknown(f"variable in the store {store.path}", name, store.names)
        if units != (has := store.channels[store.names.index(name)].units):
            raise UserError(f"'{name}' is in '{has}' in the store {store.path}, but the model was made for '{units}'.")
    return [store.names.index(name) for name in normalisation.names]


def _affine(channels: list[Channel], normalisation: Normalisation) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the factor and the shift (2, c) from stored to normalised values: row 0 as they are, row 1 mirrored."""
    scale, offset = np.array([(channel.scale, channel.offset) for channel in channels]).T
    mean, deviation = np.array(normalisation.mean), np.array(normalisation.standard_deviation)
    reflected = [-1.0 if channel.name in ODD_UNDER_REFLECTION else 1.0 for channel in channels]
    sign = np.array([[1.0] * len(channels), reflected])
    return (sign * scale / deviation).astype(np.float32), ((sign * offset - mean) / deviation).astype(np.float32)


def _extended(store: Store) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and their latitudes with one far row at either end, by which interpolation carries the grid on."""
    rows, far = len(store.latitude), 1000
    beyond = far * store.latitude_spacing
    row = np.concatenate([[-far], np.arange(rows), [rows - 1 + far]])
    return row, np.concatenate([[store.latitude[0] + beyond], store.latitude, [store.latitude[-1] - beyond]])


def _row_of(store: Store, latitude: ArrayLike) -> NDArray[np.float64]:
    row, known = _extended(store)
    return np.interp(np.negative(latitude), -known, row)


def _along(values: NDArray, like: ArrayLike) -> NDArray:
    """Return values (b,) with as many trailing axes as `like` (b, ...) has."""
    return values.reshape(-1, *[1] * (np.ndim(like) - 1))


def _rounded(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(values + 0.5).astype(np.int64)
