"""Point objects in a window: what is said of every pixel, how it is learned, and how objects are read off.

Output and targets have the same channels (1 + m + 2, h, w): whether a centre is here (a logit, or a bump that is 1
there); m values of the object at that centre, in scales near 1; and the offset, the way down and right from the pixel
to the centre, in pixels. Values and offset are stated at the pixels around each object. The focal loss and the reading
of peaks are those of Zhou et al. 2019, Objects as Points (arXiv:1904.07850).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.special import expit
from torch import Tensor, nn

from toolkit.examples import Examples

CENTRE_SPREAD = 1.1
"""Standard deviation (pixels) of the bump that marks a centre."""
REACH = 5
"""As many pixels from its centre, each way, a bump is above zero."""
LEAST_BUMP = 0.1
"""Values are stated where the bump is higher than this."""
MOST_CENTRES, NEIGHBOURHOOD = 6, 5
LEAST_PROBABILITY = 0.01
FURTHEST = 2
"""As many pixels from its peak a centre can lie, each way."""
EDGE = 1
"""Pixels along the edge of a window in which no centre is reported: labels there are not in the window either."""


def object_targets(examples: Examples, values: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Return the targets: centre (n, h, w); values and weights (n, m + 2, h, w), the offset last.

    values (k, m): of each row of `examples.truth`, NaN where not known. The weights are the bump around the nearest
    object, and zero elsewhere and for what is not known.
    """
    n, (h, w), truth, m = len(examples), examples.windows.size, examples.truth, values.shape[1]
    centre = np.zeros((n, h, w), np.float32)
    stated, weights = np.zeros((n, m + 2, h, w), np.float32), np.zeros((n, m + 2, h, w), np.float32)
    y, x = examples.pixels(truth["example"], truth["latitude"].to_numpy(), truth["longitude"].to_numpy())
    k, row, column, bump = _bumps(y, x)
    inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
    k, row, column, bump = k[inside], row[inside], column[inside], bump[inside]
    example = truth["example"].to_numpy()[k]
    centre[example, row, column] = bump
    near = bump > LEAST_BUMP
    k, place, bump = k[near], (example[near], slice(None), row[near], column[near]), bump[near, None]
    known = np.isfinite(values[k])
    stated[place] = np.column_stack([np.nan_to_num(values[k]), y[k] - row[near], x[k] - column[near]])
    weights[place] = np.column_stack([bump * known, bump, bump])
    return {"centre": centre, "values": stated, "weights": weights}


def _bumps(y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return object, row, column and height of the bumps around (y, x), from low to high, the first object last.

    So of what is written to a pixel in this order, that of the nearest object stays.
    """
    down, right = (away.ravel() for away in np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1])
    height = np.exp(-(down**2 + right**2) / (2 * CENTRE_SPREAD**2)).astype(np.float32)
    k, away = np.repeat(np.arange(len(y)), len(height)), np.tile(np.arange(len(height)), len(y))
    order = np.lexsort((-k, height[away]))
    k, away = k[order], away[order]
    return k, np.rint(y[k]).astype(int) + down[away], np.rint(x[k]).astype(int) + right[away], height[away]


def centre_loss(output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return the focal loss of the centres per object: sure pixels, and those close to a centre, count less."""
    logit, centre = output[:, 0], targets["centre"]
    probability = logit.sigmoid()
    at = (centre == 1).float()
    found = nn.functional.logsigmoid(logit) * (1 - probability) ** 2 * at
    absent = nn.functional.logsigmoid(-logit) * probability**2 * (1 - centre) ** 4
    return -(found + absent).sum() / at.sum().clamp(min=1)


def value_losses(output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return the weighted mean Huber loss of each value and of the offset down and right, (m + 2,)."""
    weights = targets["weights"]
    error = nn.functional.smooth_l1_loss(output[:, 1:], targets["values"], reduction="none", beta=0.3)
    return (error * weights).sum((0, 2, 3)) / weights.sum((0, 2, 3)).clamp(min=1)


def read_objects(output: NDArray[np.float32], examples: Examples) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return the objects of an output (n, 1 + m + 2, h, w), the highest peaks of each window, and their values (k, m).

    The table of objects has the columns example, latitude, longitude and probability. A peak is a pixel that nothing
    within two pixels exceeds; a window has at most six. The centre lies where the offsets of the peak and of the eight
    pixels around it point on average, each weighted by its probability; the values are such means too.
    """
    logit, probability = output[:, 0], expit(output[:, 0])
    peak = logit == maximum_filter(logit, (1, NEIGHBOURHOOD, NEIGHBOURHOOD))
    peak[:, :EDGE], peak[:, -EDGE:], peak[:, :, :EDGE], peak[:, :, -EDGE:] = False, False, False, False
    example, row, column = np.nonzero(peak & (probability >= LEAST_PROBABILITY))
    order = np.lexsort((-probability[example, row, column], example))
    rank = np.arange(len(example)) - np.searchsorted(example, example)
    chosen = order[rank < MOST_CENTRES]
    example, row, column = example[chosen], row[chosen], column[chosen]
    around = _around(output, probability, example, row, column)
    down, right = around[-2:].clip(-FURTHEST, FURTHEST)
    latitude, longitude = examples.degrees(example, row + down, column + right)
    place = {"example": example, "latitude": latitude, "longitude": longitude}
    return pd.DataFrame(place | {"probability": probability[example, row, column]}), around[:-2].T


def _around(
    output: NDArray[np.float32], probability: NDArray, example: NDArray, row: NDArray, column: NDArray
) -> NDArray[np.float64]:
    """Return the values (m + 2, k) of k peaks as weighted means over three by three pixels, offsets from the peak."""
    total, weight = np.zeros((output.shape[1] - 1, len(example))), np.zeros(len(example))
    for down, right in np.ndindex(3, 3):
        place = example, row + down - 1, column + right - 1
        from_peak = np.zeros((len(total), 1))
        from_peak[-2:, 0] = down - 1, right - 1
        total += probability[place] * (output[:, 1:].transpose(1, 0, 2, 3)[:, *place] + from_peak)
        weight += probability[place]
    return total / weight
