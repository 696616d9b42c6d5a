"""The hurricane task's output: at every pixel, is a centre here, how strong is it, where does it go in 24 h."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.examples import Examples
from toolkit.geodesy import displaced, displacement_km
from toolkit.heads.features import Features, Given
from toolkit.heads.objects import centre_loss, object_targets, read_objects, value_losses
from toolkit.heads.pixels import PixelHead
from toolkit.pretexts.readouts import DISPLACEMENT, NEXT_FRAMES, VORTEX_FATE

FATE_SCALE_KM = 500.0
WIND_MEAN_KT, WIND_SCALE_KT, DISPLACEMENT_SCALE_KM = 45.0, 25.0, 400.0
LEAST_WIND_KT = 10.0


class CycloneHead(nn.Module):
    """Features to (b, 6, h, w): logit of a centre; wind; displacement eastward and poleward; offset down and right.

    Wind and displacement are in scales of their own. Where the backbone hands over the displacement of vortices or of
    the air, the head's displacement is linear in them, in the sine of latitude and in the wind (a vortex drifts through
    the air poleward and westward, a strong one faster): a few numbers fitted to the labels. And the vortices that the
    backbone sees, and the fields it expects later, in which analysis errors have averaged out, are looked at beside
    the fields that were observed; what of logit and wind is linear in them goes straight there.
    """

    def __init__(self, given: Given) -> None:
        """Build the head; the first guess of a centre's probability is 1 %."""
        super().__init__()
        beside = {name: channels for name, channels in given.readouts.items() if name in (VORTEX_FATE, NEXT_FRAMES)}
        self.pixels = PixelHead(given.spec, 6, beside, bias=(-4.6, 0.0, 0.0, 0.0, 0.0, 0.0))
        self.straight = nn.Conv2d(sum(beside.values()), 2, 1, bias=False) if beside else None
        if self.straight:
            nn.init.zeros_(self.straight.weight)
        moving = 2 * sum(name in given.readouts for name in (VORTEX_FATE, DISPLACEMENT))
        if moving:
            self.drift = nn.Linear(moving + 2, 2)
            self.drift.weight.data = torch.eye(2, moving + 2)
            nn.init.zeros_(self.drift.bias)

    def forward(self, features: Features) -> Tensor:
        """Return the output (b, 6, h, w)."""
        out = self.pixels(features)
        stated, moved = out[:, :2], out[:, 2:4]
        if self.straight:
            stated = stated + self.straight(torch.cat([features.readouts[name] for name in self.pixels.beside], 1))
        if moving := _displacements(features.readouts):
            known = torch.cat([*moving, features.planes[:, -1:], stated[:, 1:].detach()], 1)
            moved = self.drift(known.movedim(1, -1)).movedim(-1, 1)
        return torch.cat([stated, moved, out[:, 4:]], 1)


def _displacements(readouts: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the displacements (b, 2, h, w) that the backbone hands over, in the head's scale; the vortices' first."""
    moving = []
    if VORTEX_FATE in readouts:
        moving.append(readouts[VORTEX_FATE][:, 4:6] * (FATE_SCALE_KM / DISPLACEMENT_SCALE_KM))
    if DISPLACEMENT in readouts:
        moving.append(readouts[DISPLACEMENT] / DISPLACEMENT_SCALE_KM)
    return moving


def encode(examples: Examples) -> dict[str, NDArray[np.float32]]:
    """Return the targets of `toolkit.heads.objects`: wind, eastward and poleward displacement in the head's scales."""
    truth = examples.truth
    ends = ("latitude", "longitude", "latitude_24h", "longitude_24h")
    east, north = displacement_km(*(truth[name].to_numpy() for name in ends))
    poleward = north * _up(examples, truth["example"])
    wind = (truth["wind_kt"].to_numpy() - WIND_MEAN_KT) / WIND_SCALE_KT
    return object_targets(examples, np.stack([wind, east / DISPLACEMENT_SCALE_KM, poleward / DISPLACEMENT_SCALE_KM], 1))


def loss(output: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the focal loss of the centres and Huber losses of the values."""
    values = value_losses(output, targets)
    return {
        "centre": centre_loss(output, targets),
        "wind": values[0],
        "displacement": values[1:3].sum(),
        "offset": values[3:].sum(),
    }


def decode(output: NDArray[np.float32], examples: Examples) -> pd.DataFrame:
    """Return the cyclones of an output (n, 6, h, w), at most six a window, with their wind and place in 24 h."""
    table, values = read_objects(output, examples)
    wind, east, poleward = values.T
    east, north = east * DISPLACEMENT_SCALE_KM, poleward * _up(examples, table["example"]) * DISPLACEMENT_SCALE_KM
    latitude, longitude = displaced(table["latitude"].to_numpy(), table["longitude"].to_numpy(), east, north)
    wind_kt = np.maximum(wind * WIND_SCALE_KT + WIND_MEAN_KT, LEAST_WIND_KT)
    return table.assign(wind_kt=wind_kt, latitude_24h=latitude, longitude_24h=longitude)


def _up(examples: Examples, example: pd.Series) -> NDArray[np.int64]:
    """Return 1 where north is up in a window, -1 where it is mirrored, so that up is poleward."""
    return np.where(examples.mirrored(example), -1, 1)
