"""A head that says something of every pixel."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.heads.features import Features
from toolkit.pretexts.contract import unpatched


class PixelHead(nn.Module):
    """Features to a field (b, channels, h, w): what the tokens say of each pixel beside what is seen around it.

    A token is spread over its pixels by a linear layer; two 3 x 3 convolutions look at the planes, where they are
    missing, and the readouts in `beside` {name: channels}; two more mix both, so that neighbouring tokens agree at
    their common edge and places are exact to a fraction of a pixel. The last layer begins at zero but for `bias`: an
    untrained head says the same everywhere.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        channels: int,
        beside: Mapping[str, int] = MappingProxyType({}),
        hidden: int = 24,
        bias: tuple[float, ...] | None = None,
    ) -> None:
        """Build the layers; `bias` is each channel's initial value, zero where it is not given."""
        super().__init__()
        self.patch, self.hidden, self.beside = spec.patch, hidden, tuple(beside)
        self.expand = nn.Linear(spec.dim, hidden * spec.patch**2)
        seen = 2 * spec.planes + sum(beside.values())
        self.near = nn.Sequential(
            nn.Conv2d(seen, hidden, 3, padding=1), nn.GELU(), nn.Conv2d(hidden, hidden, 3, padding=1)
        )
        self.mix = nn.Sequential(nn.GELU(), nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1), nn.GELU())
        self.out = nn.Conv2d(2 * hidden, channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        self.out.bias = nn.Parameter(torch.tensor(bias or [0.0] * channels))

    def forward(self, features: Features) -> Tensor:
        """Return the field (b, channels, h, w)."""
        tokens = self.expand(features.tokens).reshape(*features.tokens.shape[:2], self.hidden, self.patch**2)
        x = features.planes
        known = x.isfinite()
        read = [features.readouts[name] for name in self.beside]
        near = self.near(_by_pixel(torch.cat([torch.where(known, x, 0.0), known.to(x.dtype), *read], 1)))
        return self.out(self.mix(_by_pixel(torch.cat([unpatched(tokens, self.patch, features.grid), near], 1))))


def _by_pixel(x: Tensor) -> Tensor:
    """Return the same field with the channels of a pixel side by side, of which convolutions are faster."""
    return x.contiguous(memory_format=torch.channels_last)
