"""Rollouts over the globe: predict the next frame everywhere, take it for the newest one, and so on, as error grows.

Overlapping windows of the size that a backbone was trained with cover the globe up to the latitudes it was trained at.
A window gives way towards its edges, where it knows least, to those that have the place nearer to their middle: its
weights are sin^2(pi (i + 1/2) / n) along both sides, which sum to one for neighbours half a window apart. South of the
equator windows are mirrored as they are in training, and on both sides of it they lie symmetrically, so that what is
symmetric stays so. Rows poleward of all windows keep the values of the last true frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, cat

from toolkit.backbones.features import planes
from toolkit.data.covering import symmetric_windows
from toolkit.data.windows import ODD_UNDER_REFLECTION
from toolkit.pretexts.draw import POLEWARD_CENTRE

SCORED_TO = 60.0
"""Degrees north and south between which errors are averaged."""
WINDOWS_AT_ONCE = 128
Predict = Callable[[Tensor], Tensor]
Fields = NDArray[np.float32]
Errors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Globe:
    """The windows that cover a grid, with the rows of mirrored ones turned over.

    shape: (rows, columns) of the grid; pixel (n, h, w): which pixel of the flattened grid a window has where; sign
    (n, c): by which a window's variables are multiplied; latitude (n, h): degrees, as the windows show them.
    """

    shape: tuple[int, int]
    pixel: NDArray[np.intp]
    sign: NDArray[np.float32]
    latitude: NDArray[np.float64]


def covered(latitude: NDArray[np.float64], columns: int, variables: Sequence[str], size: tuple[int, int]) -> Globe:
    """Return windows of `size` (h, w), half a window apart, over a grid that goes round the globe.

    latitude (rows,): descending and symmetric about the equator.
    """
    (h, w), rows = size, len(latitude)
    centre = (latitude[: rows - h + 1] + latitude[h - 1 :]) / 2
    top = int(np.argmax(centre <= POLEWARD_CENTRE))
    windows = symmetric_windows((rows, columns), size, top)
    row = windows.row[:, None] + np.arange(h)
    row[windows.mirrored] = row[windows.mirrored, ::-1]
    column = (windows.column[:, None] + np.arange(w)) % columns
    north = np.where(windows.mirrored, -1, 1)[:, None]
    odd = np.array([name in ODD_UNDER_REFLECTION for name in variables])
    sign = np.where(odd, north, 1).astype(np.float32)
    return Globe((rows, columns), row[:, :, None] * columns + column[:, None, :], sign, north * latitude[row])


def rollout(globe: Globe, predict: Predict, frames: Fields, steps: int) -> Fields:
    """Return (steps, c, rows, columns): what comes after `frames` (t, c, rows, columns), of which the last is newest.

    predict(windows (b, planes, h, w)) -> the fields (b, c, h, w) one spacing of the frames later.
    """
    found = []
    for _ in range(steps):
        x = _seen(globe, frames)
        said = cat([predict(part).float().cpu() for part in x.split(WINDOWS_AT_ONCE)])
        found.append(_blended(globe, said.numpy(), frames[-1]))
        frames = np.concatenate([frames[1:], found[-1][None]])
    return np.stack(found)


def persistence(frames: Fields, steps: int) -> Fields:
    """Return (steps, c, rows, columns): the last frame, which stays."""
    return np.repeat(frames[-1:], steps, 0)


def linear_extrapolation(frames: Fields, steps: int) -> Fields:
    """Return (steps, c, rows, columns): x_t + k (x_t - x_{t-1}) after k steps."""
    step = np.arange(1, steps + 1, dtype=np.float32)[:, None, None, None]
    return frames[-1] + step * (frames[-1] - frames[-2])


def area_rmse(said: Fields, truth: Fields, known: NDArray[np.bool_], latitude: NDArray[np.float64]) -> Errors:
    """Return the root of the mean squared error over the area from 60 S to 60 N, and over variables, by step: (steps,).

    said, truth and known (steps, c, rows, columns); what is not known does not count, NaN where nothing is.
    """
    area = np.cos(np.radians(latitude)) * (np.abs(latitude) <= SCORED_TO)
    weight = area[:, None] * known
    square = np.square(np.where(weight > 0, said - truth, 0)) * weight
    total = weight.sum((1, 2, 3))
    return np.sqrt(np.divide(square.sum((1, 2, 3)), total, out=np.full(len(said), np.nan), where=total > 0))


def _seen(globe: Globe, frames: Fields) -> Tensor:
    """Return the input planes (n, planes, h, w) of all windows; the mean of what changes its sign is zero."""
    values = frames.reshape(*frames.shape[:2], -1)[..., globe.pixel]
    return planes(np.moveaxis(values, 2, 0) * globe.sign[:, None, :, None, None], globe.latitude)


def _blended(globe: Globe, said: Fields, last: Fields) -> Fields:
    """Return the weighted mean (c, rows, columns) of what windows (n, c, h, w) say, `last` where there is none."""
    along, across = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in globe.pixel.shape[1:])
    weight = np.broadcast_to(along[:, None] * across, globe.pixel.shape)

    def summed(values: NDArray[np.floating]) -> NDArray[np.float64]:
        flat = np.bincount(globe.pixel.ravel(), values.ravel(), last[0].size)
        return flat.astype(np.float64, copy=False).reshape(globe.shape)

    total = summed(weight)
    sums = [summed(weight * said[:, k] * globe.sign[:, k, None, None]) for k in range(len(last))]
    return np.where(total > 0, np.stack(sums) / np.where(total > 0, total, 1), last).astype(np.float32)
