"""A vision transformer over windows of the atmosphere, on timm's layers; it is told where values are missing (NaN)."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError, unknown


@dataclass(frozen=True)
class ViTShape:
    """Depth and number of attention heads; the width is the feature spec's `dim`."""

    depth: int
    heads: int


class ViT(nn.Module):
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
        self._positions: dict[tuple[int, int], Tensor] = {}

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the tokens (b, n, dim) of windows (b, planes, h, w)."""
        tokens = self._embed(x)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    forward = forward_features

    def features(self, x: Tensor, layer: str) -> Tensor:
        """Return what the module called `layer` (such as "blocks.3") puts out for windows (b, planes, h, w)."""
        modules = {name: module for name, module in self.named_modules() if not isinstance(module, ViT | nn.ModuleList)}
        if layer not in modules:
            raise unknown("layer", layer, (name for name in modules if name.count(".") < 2))
        kept: list[Tensor] = []
        handle = modules[layer].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        try:
            self.forward_features(x)
        finally:
            handle.remove()
        return kept[0]

    def _embed(self, x: Tensor) -> Tensor:
        planes, h, w = x.shape[1:]
        patch = self.spec.patch
        if planes != self.spec.planes or h % patch or w % patch:
            raise UserError(
                f"A window of {planes} planes, {h} x {w}, does not fit this backbone: it takes {self.spec.planes} "
                f"planes and sides divisible by {patch}."
            )
        valid = torch.isfinite(x[:, :-1])
        known = torch.where(valid, x[:, :-1], 0.0)
        x = torch.cat([known, x[:, -1:], valid.to(x.dtype)], 1)
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        return tokens + self._position((h // patch, w // patch), tokens)

    def _position(self, grid: tuple[int, int], like: Tensor) -> Tensor:
        if grid not in self._positions:
            self._positions[grid] = build_sincos2d_pos_embed(list(grid), self.spec.dim, interleave_sin_cos=True)
        return self._positions[grid].to(like)


def build(spec: FeatureSpec, architecture: dict[str, Any], seed: int) -> ViT:
    """Return a ViT with random weights drawn from `seed`, leaving the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ViT(spec, ViTShape(**architecture))
