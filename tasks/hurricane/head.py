"""The hurricane task's output: at every pixel, is a centre here, how strong is it, where does it go in 24 h."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.examples import Examples
from toolkit.geodesy import displaced, displacement_km
from toolkit.heads import PixelHead

READOUT = "displacement_24h"
CENTRE_SPREAD = 1.1
"""Standard deviation (pixels) of the bump that marks a centre."""
WIND_MEAN_KT, WIND_SCALE_KT, DISPLACEMENT_SCALE_KM = 45.0, 25.0, 400.0
MOST_CENTRES, NEIGHBOURHOOD = 6, 5
LEAST_PROBABILITY = 0.01
EDGE = 1
"""Pixels along the edge of a window in which no centre is reported: labels there are not in the window either."""


class CycloneHead(nn.Module):
    """Tokens to (b, 4, h, w): logit of a centre, wind, displacement eastward and poleward, each in its own scale.

    Where the backbone hands over its readout of the air's displacement, the head's displacement is that readout
    with a gain and an offset fitted to the labels, plus a learned residual that begins at zero.
    """

    def __init__(self, spec: FeatureSpec, readouts: tuple[str, ...]) -> None:
        """Build the head; the first guess of a centre's probability is 1 %."""
        super().__init__()
        self.pixels = PixelHead(spec, 4, bias=(-4.6, 0.0, 0.0, 0.0))
        self.patch = spec.patch
        if READOUT in readouts:
            self.gain = nn.Parameter(torch.ones(2))
            self.offset = nn.Parameter(torch.zeros(2))

    def forward(self, tokens: Tensor, readouts: Mapping[str, Tensor], grid: tuple[int, int]) -> Tensor:
        """Return the output (b, 4, h, w)."""
        out = self.pixels(tokens, grid)
        if READOUT not in readouts:
            return out
        air = readouts[READOUT] / DISPLACEMENT_SCALE_KM
        moved = self.gain[:, None, None] * air + self.offset[:, None, None]
        return torch.cat([out[:, :2], out[:, 2:] + moved], 1)


def encode(examples: Examples) -> dict[str, NDArray[np.float32]]:
    """Return the targets: centre (n, h, w), a bump of height 1 at each storm; values and weights (n, 3, h, w).

    values: wind, eastward and poleward displacement in the head's scales, at the pixels nearest to each storm; weights
    are zero elsewhere, and for what the best track does not say.
    """
    n, (h, w), truth = len(examples), examples.windows.size, examples.truth
    centre, best = np.zeros((n, h, w), np.float32), np.zeros((n, h, w), np.float32)
    values, weights = np.zeros((n, 3, h, w), np.float32), np.zeros((n, 3, h, w), np.float32)
    y, x = examples.pixels(truth["example"], truth["latitude"].to_numpy(), truth["longitude"].to_numpy())
    east, poleward = _displacement(examples, truth)
    stated = np.stack(
        [(truth["wind_kt"] - WIND_MEAN_KT) / WIND_SCALE_KT, east / DISPLACEMENT_SCALE_KM, poleward / DISPLACEMENT_SCALE_KM]
    )
    rows, columns = np.arange(h)[:, None], np.arange(w)
    for k, example in enumerate(truth["example"]):
        bump = np.exp(-((rows - y[k]) ** 2 + (columns - x[k]) ** 2) / (2 * CENTRE_SPREAD**2)).astype(np.float32)
        nearer = (bump > best[example]) & (bump > 0.1)
        best[example] = np.maximum(best[example], bump)
        known = np.isfinite(stated[:, k])
        values[example, :, nearer] = np.nan_to_num(stated[:, k])
        weights[example, :, nearer] = bump[nearer][:, None] * known
    centre[:] = best
    return {"centre": centre, "values": values, "weights": weights}


def loss(output: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the focal loss of the centres per storm (Zhou et al. 2019, arXiv:1904.07850) and a Huber loss of the values."""
    logit, centre = output[:, 0], targets["centre"]
    probability = logit.sigmoid()
    near = (centre > 0.85).float()
    found = nn.functional.logsigmoid(logit) * (1 - probability) ** 2 * near * centre
    absent = nn.functional.logsigmoid(-logit) * probability**2 * (1 - centre) ** 4 * (1 - near)
    weights = targets["weights"]
    error = nn.functional.smooth_l1_loss(output[:, 1:], targets["values"], reduction="none", beta=0.5)
    parts = (error * weights).sum((0, 2, 3)) / weights.sum((0, 2, 3)).clamp(min=1)
    return {
        "centre": -(found + absent).sum() / near.sum().clamp(min=1),
        "wind": parts[0],
        "displacement": parts[1] + parts[2],
    }


def decode(output: NDArray[np.float32], examples: Examples) -> pd.DataFrame:
    """Return the predictions of an output (n, 4, h, w): the highest peaks of each window, at most six.

    A centre is the probability-weighted mean of the 3 x 3 pixels around a peak that nothing within two pixels exceeds.
    """
    probability = 1 / (1 + np.exp(-output[:, 0]))
    peak = probability == maximum_filter(probability, (1, NEIGHBOURHOOD, NEIGHBOURHOOD))
    peak[:, :EDGE], peak[:, -EDGE:], peak[:, :, :EDGE], peak[:, :, -EDGE:] = False, False, False, False
    example, row, column = np.nonzero(peak & (probability >= LEAST_PROBABILITY))
    order = np.lexsort((-probability[example, row, column], example))
    rank = np.arange(len(example)) - np.searchsorted(example, example)
    chosen = order[rank < MOST_CENTRES]
    example, row, column = example[chosen], row[chosen], column[chosen]
    y, x = _refined(probability, example, row, column)
    latitude, longitude = examples.degrees(example, y, x)
    wind, east, poleward = output[example, 1:, row, column].T
    north = poleward * np.where(examples.mirrored(example), -1, 1)
    latitude_24h, longitude_24h = displaced(
        latitude, longitude, east * DISPLACEMENT_SCALE_KM, north * DISPLACEMENT_SCALE_KM
    )
    return pd.DataFrame(
        {
            "example": example,
            "latitude": latitude,
            "longitude": longitude,
            "probability": probability[example, row, column],
            "wind_kt": np.maximum(wind * WIND_SCALE_KT + WIND_MEAN_KT, 10),
            "latitude_24h": latitude_24h,
            "longitude_24h": longitude_24h,
        }
    )


def _displacement(examples: Examples, truth: pd.DataFrame) -> tuple[NDArray, NDArray]:
    place = ("latitude", "longitude", "latitude_24h", "longitude_24h")
    east, north = displacement_km(*(truth[name].to_numpy() for name in place))
    return east, north * np.where(examples.mirrored(truth["example"]), -1, 1)


def _refined(probability: NDArray, example: NDArray, row: NDArray, column: NDArray) -> tuple[NDArray, NDArray]:
    steps = np.arange(-1, 2)
    rows, columns = row[:, None, None] + steps[:, None], column[:, None, None] + steps
    weight = probability[example[:, None, None], rows, columns]
    total = weight.sum((1, 2))
    return (weight * rows).sum((1, 2)) / total, (weight * columns).sum((1, 2)) / total
