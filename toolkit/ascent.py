"""The input that excites a channel most, by gradient ascent from noise.

Erhan et al. (2009, "Visualizing higher-layer features of a deep network") climb a channel's gradient in the space of
inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from toolkit.activations import activations
from toolkit.backbones.features import planes
from toolkit.backbones.weights import Backbone

DRAWS, BLURS = 4, (0.0, 1.0, 2.0, 4.0)
"""How many fields of noise an ascent may set out from, each of them smoothed over so many pixels."""


@dataclass(frozen=True)
class Ascent:
    """How the gradient is climbed: pixels along the image's side, steps, the length of the first one, the penalty.

    `rate` is a share of the image's own length; `smoothness` the loss for one unit of roughness, in standard deviations
    of the activation.
    """

    side: int
    steps: int = 200
    rate: float = 0.2
    smoothness: float = 10.0


def ascend(
    backbone: Backbone,
    layer: str,
    channels: Sequence[int],
    latitudes: Sequence[float],
    deviations: Sequence[float],
    seed: int,
    ascent: Ascent,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each channel the input that excites it, (b, planes, h, w), and the activation before and after, (b,).

    Climbs a(x) / deviation - smoothness R(x), where a is the channel at the middle token and the roughness R the mean
    of the squared differences between neighbouring pixels, along and across. It sets out from Gaussian noise: of some
    draws, as they are and smoothed, the one that excites the channel most, since many a channel behind a ReLU is silent
    and without a gradient on most noise. After each step the fields are scaled to a mean square of 1, the data's own.
    The plane of the latitude is that of a window centred at `latitudes` degrees and stays; nothing is missing. The
    backbone is left as it was.
    """
    spec = backbone.card.spec
    side = ascent.side
    rows = np.clip(np.array(latitudes)[:, None] + spec.grid_degrees * ((side - 1) / 2 - np.arange(side)), -90, 90)
    shape = (len(channels), len(spec.frames), len(spec.variables), side, side)
    latitude = planes(np.zeros(shape, np.float32), rows)[:, -1:]
    noise = _noise(spec.planes - 1, side, seed)
    each, scale = torch.arange(len(channels)), torch.tensor(deviations).clamp_min(1e-12)

    def middle(fields: Tensor, latitude: Tensor) -> Tensor:
        maps = activations(backbone, torch.cat([fields, latitude.expand(len(fields), -1, -1, -1)], 1), layer)
        return maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]

    def activation(fields: Tensor) -> Tensor:
        return middle(fields, latitude)[each, torch.tensor(channels)]

    with torch.no_grad():
        best = [int(middle(noise, latitude[[i]])[:, channel].argmax()) for i, channel in enumerate(channels)]
        fields = noise[best]
        before = activation(fields)
    for step in range(ascent.steps):
        with torch.enable_grad():
            climbed = fields.detach().requires_grad_()
            gained = activation(climbed) / scale - ascent.smoothness * roughness(climbed)
            (gradient,) = torch.autograd.grad(gained.sum(), climbed)
        length = ascent.rate * (1 + np.cos(np.pi * step / ascent.steps)) / 2
        fields = _scaled(fields + length * _scaled(gradient))
    with torch.no_grad():
        return torch.cat([fields, latitude], 1), before, activation(fields)


def _noise(count: int, side: int, seed: int) -> Tensor:
    """Return fields (n, count, side, side) of Gaussian noise, in each of the `BLURS`, of mean square 1."""
    drawn = np.random.default_rng(seed).normal(size=(DRAWS, count, side, side))
    blurred = [gaussian_filter(drawn, (0, 0, blur, blur), mode="wrap") for blur in BLURS]
    return _scaled(torch.from_numpy(np.concatenate(blurred)).float())


def roughness(fields: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels, along plus across, of fields (b, c, h, w): (b,)."""
    return sum((fields.diff(dim=axis).square().mean((1, 2, 3)) for axis in (2, 3)), start=fields.new_zeros(len(fields)))


def _scaled(fields: Tensor) -> Tensor:
    """Return fields (b, c, h, w) with a mean square of 1 each; what is zero stays so."""
    return fields / fields.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-20)
