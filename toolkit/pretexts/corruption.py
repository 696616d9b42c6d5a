"""What is done to chosen patches: they are deleted, or hidden, noisy and coarse as in AtmoRep (arXiv:2308.13280)."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.pretexts.contract import patches, unpatched

Mixture = tuple[float, float, float]
"""Probabilities with which a chosen patch is hidden, gets noise, and is coarsened; each is drawn for itself."""
HIDDEN: Mixture = (1.0, 0.0, 0.0)
NOISE = 0.1
"""Standard deviation of the noise, in standard deviations of the field."""
COARSER = 2


def deleted(x: Tensor, chosen: Tensor, patch: int) -> Tensor:
    """Return the windows (b, planes, h, w) with the chosen patches (b, n, planes - 1) missing (NaN)."""
    b, _, h, w = x.shape
    pixels = chosen.transpose(1, 2).reshape(b, -1, h // patch, w // patch)
    pixels = pixels.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    left = x.clone()
    left[:, :-1].masked_fill_(pixels, torch.nan)
    return left


def draw_corruption(
    shape: tuple[int, int, int], patch: int, mixture: Mixture, generator: np.random.Generator
) -> dict[str, Tensor]:
    """Draw what would be done to each patch and plane (b, n, planes - 1), were it chosen.

    hide and coarsen (b, n, planes - 1) are true or false; a patch x becomes kept x + noise, of which kept
    (b, n, planes - 1) is 1 - w, w ~ U(0, 1), and noise (b, n, planes - 1, patch^2) is normal; where there is to be no
    noise they are one and zero.
    """
    hide, noisy, coarsen = (generator.random(shape) < probability for probability in mixture)
    kept = np.where(noisy, 1 - generator.random(shape), 1.0).astype(np.float32)
    noise = np.zeros((*shape, patch**2), np.float32)
    noise[noisy] = NOISE * generator.standard_normal((int(noisy.sum()), patch**2), np.float32)
    drawn = {"hide": hide, "kept": kept, "noise": noise, "coarsen": coarsen}
    return {name: torch.from_numpy(value) for name, value in drawn.items()}


def corrupted(x: Tensor, chosen: Tensor, drawn: Mapping[str, Tensor], patch: int) -> Tensor:
    """Return the windows (b, planes, h, w) with the chosen patches (b, n, planes - 1) corrupted as was drawn.

    In this order a patch is hidden (NaN), gets noise, is coarsened. What is hidden stays so, and what was missing stays
    missing; a few chosen patches nothing happens to.
    """
    own = patches(x[:, :-1], patch)
    other = own.masked_fill(drawn["hide"][..., None], torch.nan)
    other = drawn["kept"][..., None] * other + drawn["noise"]
    other = torch.where(drawn["coarsen"][..., None], coarsened(other, patch), other)
    grid = (x.shape[-2] // patch, x.shape[-1] // patch)
    return torch.cat([unpatched(torch.where(chosen[..., None], other, own), patch, grid), x[:, -1:]], 1)


def coarsened(values: Tensor, patch: int) -> Tensor:
    """Return patches (..., patch^2) averaged over 2 x 2 pixels and interpolated back; a gap spreads."""
    squares = values.reshape(-1, 1, patch, patch)
    fewer = nn.functional.adaptive_avg_pool2d(squares, -(-patch // COARSER))
    back = nn.functional.interpolate(fewer, (patch, patch), mode="bilinear", align_corners=False)
    return back.reshape(values.shape)
