"""The hurricane task's output: at every pixel, is a centre here, how strong is it, where does it go in 24 h."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.special import expit
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.examples import Examples
from toolkit.geodesy import displaced, displacement_km
from toolkit.heads import Features, PixelHead

DISPLACEMENT, NEXT_FRAMES, FATE = "displacement_24h", "next_frames", "vortex_fate"
"""Readouts the head can use: where the air will be in 24 h; the fields expected 6 and 24 h later; coherent vortices,
what they are like over the days around, and where they will be in 24 h."""
FATE_SCALE_KM = 500.0
CENTRE_SPREAD = 1.1
"""Standard deviation (pixels) of the bump that marks a centre."""
WIND_MEAN_KT, WIND_SCALE_KT, DISPLACEMENT_SCALE_KM = 45.0, 25.0, 400.0
MOST_CENTRES, NEIGHBOURHOOD = 6, 5
LEAST_PROBABILITY = 0.01
EDGE = 1
"""Pixels along the edge of a window in which no centre is reported: labels there are not in the window either."""


class CycloneHead(nn.Module):
    """Features to (b, 6, h, w): logit of a centre; wind; displacement eastward and poleward; offset down and right.

    Wind and displacement are in scales of their own. The offset is the way from a pixel to the centre beside it, in
    pixels. Where the backbone hands over the displacement of vortices or of the air, the head's displacement is linear
    in them, in the sine of latitude and in the wind (a vortex drifts through the air poleward and westward, a strong
    one faster): a few numbers fitted to the labels. And the vortices that the backbone sees, and the fields it expects
    later, in which analysis errors have averaged out, are looked at beside the fields that were observed.
    """

    def __init__(self, spec: FeatureSpec, readouts: Mapping[str, int]) -> None:
        """Build the head; the first guess of a centre's probability is 1 %."""
        super().__init__()
        beside = {name: channels for name, channels in readouts.items() if name in (FATE, NEXT_FRAMES)}
        self.pixels = PixelHead(spec, 6, beside, bias=(-4.6, 0.0, 0.0, 0.0, 0.0, 0.0))
        moving = 2 * sum(name in readouts for name in (FATE, DISPLACEMENT))
        if moving:
            self.drift = nn.Linear(moving + 2, 2)
            self.drift.weight.data = torch.eye(2, moving + 2)
            nn.init.zeros_(self.drift.bias)

    def forward(self, features: Features) -> Tensor:
        """Return the output (b, 6, h, w)."""
        out = self.pixels(features)
        moving = _displacements(features.readouts)
        if not moving:
            return out
        known = torch.cat([*moving, features.planes[:, -1:], out[:, 1:2].detach()], 1)
        moved = self.drift(known.movedim(1, -1)).movedim(-1, 1)
        return torch.cat([out[:, :2], moved, out[:, 4:]], 1)


def _displacements(readouts: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the displacements (b, 2, h, w) that the backbone hands over, in the head's scale; the vortices' first."""
    moving = []
    if FATE in readouts:
        moving.append(readouts[FATE][:, 4:6] * (FATE_SCALE_KM / DISPLACEMENT_SCALE_KM))
    if DISPLACEMENT in readouts:
        moving.append(readouts[DISPLACEMENT] / DISPLACEMENT_SCALE_KM)
    return moving


def encode(examples: Examples) -> dict[str, NDArray[np.float32]]:
    """Return the targets: centre (n, h, w), a bump that is 1 at the pixel of each storm; values, weights (n, 5, h, w).

    values: wind, eastward and poleward displacement in the head's scales, offset down and right in pixels, stated at
    the pixels around the nearest storm; weights are zero elsewhere, and for what the best track does not say.
    """
    n, (h, w), truth = len(examples), examples.windows.size, examples.truth
    centre = np.zeros((n, h, w), np.float32)
    values, weights = np.zeros((n, 5, h, w), np.float32), np.zeros((n, 5, h, w), np.float32)
    y, x = examples.pixels(truth["example"], truth["latitude"].to_numpy(), truth["longitude"].to_numpy())
    east, poleward = _displacement(examples, truth)
    wind = (truth["wind_kt"].to_numpy() - WIND_MEAN_KT) / WIND_SCALE_KT
    stated = np.stack([wind, east / DISPLACEMENT_SCALE_KM, poleward / DISPLACEMENT_SCALE_KM], 1)
    rows, columns = np.arange(h)[:, None], np.arange(w)
    for k, example in enumerate(truth["example"]):
        away = (rows - np.rint(y[k])) ** 2 + (columns - np.rint(x[k])) ** 2
        bump = np.exp(-away / (2 * CENTRE_SPREAD**2)).astype(np.float32)
        nearer = (bump > centre[example]) & (bump > 0.1)
        centre[example] = np.maximum(centre[example], bump)
        offset = np.stack(np.broadcast_arrays(y[k] - rows, x[k] - columns))[:, nearer].T
        known = np.isfinite(stated[k])
        height = bump[nearer][:, None]
        values[example, :3, nearer], values[example, 3:, nearer] = np.nan_to_num(stated[k]), offset
        weights[example, :3, nearer], weights[example, 3:, nearer] = height * known, height
    return {"centre": centre, "values": values, "weights": weights}


def loss(output: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the focal loss of the centres (Zhou et al. 2019, arXiv:1904.07850) and Huber losses of the values."""
    logit, centre = output[:, 0], targets["centre"]
    probability = logit.sigmoid()
    at = (centre == 1).float()
    found = nn.functional.logsigmoid(logit) * (1 - probability) ** 2 * at
    absent = nn.functional.logsigmoid(-logit) * probability**2 * (1 - centre) ** 4
    weights = targets["weights"]
    error = nn.functional.smooth_l1_loss(output[:, 1:], targets["values"], reduction="none", beta=0.3)
    parts = (error * weights).sum((0, 2, 3)) / weights.sum((0, 2, 3)).clamp(min=1)
    return {
        "centre": -(found + absent).sum() / at.sum().clamp(min=1),
        "wind": parts[0],
        "displacement": parts[1:3].sum(),
        "offset": parts[3:].sum(),
    }


def decode(output: NDArray[np.float32], examples: Examples) -> pd.DataFrame:
    """Return the predictions of an output (n, 6, h, w): the highest peaks of each window, at most six.

    A peak is a pixel that nothing within two pixels exceeds. The centre lies where the offsets of the peak and of the
    eight pixels around it point on average, each weighted by its probability; wind and displacement are such means too.
    """
    logit, probability = output[:, 0], expit(output[:, 0])
    peak = logit == maximum_filter(logit, (1, NEIGHBOURHOOD, NEIGHBOURHOOD))
    peak[:, :EDGE], peak[:, -EDGE:], peak[:, :, :EDGE], peak[:, :, -EDGE:] = False, False, False, False
    example, row, column = np.nonzero(peak & (probability >= LEAST_PROBABILITY))
    order = np.lexsort((-probability[example, row, column], example))
    rank = np.arange(len(example)) - np.searchsorted(example, example)
    chosen = order[rank < MOST_CENTRES]
    example, row, column = example[chosen], row[chosen], column[chosen]
    wind, east, poleward, down, right = _around(output, probability, example, row, column)
    latitude, longitude = examples.degrees(example, row + down.clip(-2, 2), column + right.clip(-2, 2))
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


def _around(
    output: NDArray[np.float32], probability: NDArray, example: NDArray, row: NDArray, column: NDArray
) -> NDArray[np.float64]:
    """Return the values (5, k) of k peaks as weighted means over three by three pixels, offsets as from the peak."""
    total, weight = np.zeros((5, len(example))), np.zeros(len(example))
    for down, right in np.ndindex(3, 3):
        place = example, row + down - 1, column + right - 1
        values = output[:, 1:].transpose(1, 0, 2, 3)[:, *place] + np.array([0, 0, 0, down - 1, right - 1])[:, None]
        total += probability[place] * values
        weight += probability[place]
    return total / weight


def _displacement(examples: Examples, truth: pd.DataFrame) -> tuple[NDArray, NDArray]:
    place = ("latitude", "longitude", "latitude_24h", "longitude_24h")
    east, north = displacement_km(*(truth[name].to_numpy() for name in place))
    return east, north * np.where(examples.mirrored(truth["example"]), -1, 1)
