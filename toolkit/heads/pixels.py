"""A head that says something of every pixel."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.heads.features import Features
from toolkit.pretexts.contract import unpatched

SQUARE = 2
"""Pixels a side of what the layers work on. At every pixel they take three times as long, and with few labels they
find fewer storms, whose surroundings they see less of; four by four pixels share too little of what is learned. What
has edges of its own, such as maps of events, is seen better pixel by pixel."""


class PixelHead(nn.Module):
    """Features to a field (b, channels, h, w): what the tokens say of each pixel beside what is seen around it.

    It works on squares of pixels. A token is spread over its squares by a linear layer; two convolutions look at the
    planes, where they are missing, and the readouts in `beside` {name: channels}; two more mix both, so that
    neighbouring tokens agree at their common edge, and the last says something of each pixel of a square. It begins at
    zero but for `bias`: an untrained head says the same everywhere.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        channels: int,
        beside: Mapping[str, int] = MappingProxyType({}),
        hidden: int = 24,
        bias: tuple[float, ...] | None = None,
        square: int = SQUARE,
    ) -> None:
        """Build the layers; `bias` is each channel's initial value, zero where it is not given.

        square: the pixels a side that patches should be cut into; those of an odd size are cut into pixels.
        """
        super().__init__()
        self.square = math.gcd(spec.patch, square)
        self.squares, self.hidden, self.beside = spec.patch // self.square, hidden, tuple(beside)
        self.expand = nn.Linear(spec.dim, hidden * self.squares**2)
        seen, reach = 2 * spec.planes + sum(beside.values()), self.square + 2
        self.near = nn.Sequential(
            nn.Conv2d(seen, hidden, reach, self.square, padding=1),
            nn.GELU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
        )
        self.mix = nn.Sequential(nn.GELU(), nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1), nn.GELU())
        self.out = nn.Conv2d(2 * hidden, channels * self.square**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        self.out.bias = nn.Parameter(torch.tensor(bias or [0.0] * channels).repeat_interleave(self.square**2))

    def forward(self, features: Features) -> Tensor:
        """Return the field (b, channels, h, w)."""
        tokens = self.expand(features.tokens).reshape(*features.tokens.shape[:2], self.hidden, self.squares**2)
        x = features.planes
        known = x.isfinite()
        read = [features.readouts[name] for name in self.beside]
        near = self.near(_by_place(torch.cat([torch.where(known, x, 0.0), known.to(x.dtype), *read], 1)))
        both = torch.cat([unpatched(tokens, self.squares, features.grid), near], 1)
        return nn.functional.pixel_shuffle(self.out(self.mix(_by_place(both))), self.square)


def _by_place(x: Tensor) -> Tensor:
    """Return the same field with the channels of a place side by side, of which convolutions are faster."""
    return x.contiguous(memory_format=torch.channels_last)
