"""A vision transformer over windows of the atmosphere, on timm's layers; it is told where values are missing (NaN)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from toolkit.backbones.contract import Kind, Network, Shape, Wishes, check_window, with_validity
from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError

POSITIONS = 4
"""A sine and a cosine for each of row and column: the width is a multiple of so many."""


@dataclass(frozen=True)
class ViTShape:
    """Depth and number of attention heads; the width is the feature spec's `dim`."""

    depth: int
    heads: int


class ViT(Network):
    """Patches of all planes and of their validity, linearly embedded, then pre-norm transformer blocks.

    Positions are fixed sines and cosines, so that a window may have any size divisible by the patch.
    """

    def __init__(self, spec: FeatureSpec, shape: ViTShape) -> None:
        """Build the layers with timm's initialisation."""
        super().__init__()
        self.spec, self.shape = spec, shape
        self.patch_embed = nn.Conv2d(2 * spec.planes - 1, spec.dim, spec.patch, spec.patch)
        self.blocks = nn.ModuleList(Block(spec.dim, shape.heads, qkv_bias=True) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(spec.dim)
        self._positions: dict[tuple[tuple[int, int], torch.device], Tensor] = {}

    def stem(self, x: Tensor) -> Tensor:
        """Return the embedded patches (b, n, dim) of windows (b, planes, h, w), with their positions."""
        check_window(self.spec, x)
        grid = (x.shape[-2] // self.spec.patch, x.shape[-1] // self.spec.patch)
        tokens = self.patch_embed(with_validity(x)).flatten(2).transpose(1, 2)
        return tokens + self._position(grid, tokens.device)  # in float32, as what the blocks add to it stays then

    def tail(self, state: Tensor) -> Tensor:
        """Return the tokens (b, n, dim), normalised."""
        return self.norm(state)

    def _position(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        if (grid, device) not in self._positions:
            position = build_sincos2d_pos_embed(list(grid), self.spec.dim, interleave_sin_cos=True)
            self._positions[grid, device] = position.to(device)
        return self._positions[grid, device]


def _built(spec: FeatureSpec, architecture: Mapping[str, Any]) -> ViT:
    return ViT(spec, ViTShape(**architecture))


def _shape(wishes: Wishes) -> Shape:
    if wishes.dim % wishes.heads or wishes.dim % POSITIONS:
        raise UserError(
            f"A vit of dim={wishes.dim} with heads={wishes.heads} cannot be built: dim must be a multiple of heads and "
            f"of {POSITIONS}."
        )
    return Shape(wishes.patch, wishes.dim, {"depth": wishes.depth, "heads": wishes.heads})


KIND = Kind("vit", "Vision transformer", _shape, _built)
