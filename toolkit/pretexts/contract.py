"""What a pretext is: an objective that needs no labels, as values and plain functions."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.data.windows import Windows


@dataclass(frozen=True)
class Views:
    """One batch as the backbone sees it and as it was.

    `clean` and `seen` are windows (b, planes, h, w), of which `seen` has more missing (NaN); `hidden`
    (b, n, planes - 1) says which token and plane was hidden; `targets` holds what each pretext asked to be read,
    (b, c, h, w) by name.
    """

    clean: Tensor
    seen: Tensor
    hidden: Tensor
    targets: dict[str, Tensor]


@dataclass(frozen=True)
class Target:
    """A field that is not an input, to be read at the windows of a batch.

    Fields of the store `hours` later (variables of the store, normalised); or, where there is a `make`, what was made
    once from the store, as far as `hours` after each time: `read(made, store, windows at that time)` -> (b, c, h, w)
    / stride, NaN where unknown. Windows begin at multiples of the stride.
    """

    hours: int
    make: Callable[[Store], np.ndarray] | None = None
    read: Callable[[np.ndarray, Store, Windows], np.ndarray] | None = None
    stride: int = 1


@dataclass(frozen=True)
class Readout:
    """A field that a pretext's module predicts and that a task can use directly.

    `read(module, tokens (b, n, d), grid (rows, columns) of tokens, spec) -> (b, channels(spec), h, w)` in `unit`, at
    the pixels of the window, in the window's own orientation (a mirrored window gives mirrored values).
    """

    name: str
    unit: str
    channels: Callable[[FeatureSpec], int]
    read: Callable[[nn.Module, Tensor, tuple[int, int], FeatureSpec], Tensor]


@dataclass(frozen=True)
class Pretext:
    """A self-supervised objective: the module that sits on the tokens, and its loss.

    `loss(module, tokens (b, n, d), views) -> scalar`. Losses are of order one, so that weights can be compared.
    """

    name: str
    summary: str
    module: Callable[[FeatureSpec], nn.Module]
    loss: Callable[[nn.Module, Tensor, Views], Tensor]
    targets: dict[str, Target] = field(default_factory=dict)
    readout: Readout | None = None


def patches(x: Tensor, patch: int) -> Tensor:
    """Cut (b, c, h, w) into tokens (b, n, c, patch^2), row by row from the north-west."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // patch, patch, w // patch, patch)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(b, (h // patch) * (w // patch), c, patch * patch)


def unpatched(tokens: Tensor, patch: int, grid: tuple[int, int]) -> Tensor:
    """Put tokens (b, n, c, patch^2) back together as (b, c, h, w): the inverse of `patches`."""
    b, _, c, _ = tokens.shape
    rows, columns = grid
    x = tokens.reshape(b, rows, columns, c, patch, patch).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(b, c, rows * patch, columns * patch)


def cut(
    made: np.ndarray, _store: Store, windows: Windows, stride: int, odd_channels: tuple[int, ...] = ()
) -> np.ndarray:
    """Read (b, c, h / stride, w / stride) float32 out of `made` (time, c, rows / stride, columns / stride).

    Where a window is mirrored, what is read is reflected, and `odd_channels` change their sign.
    """
    h, w = (side // stride for side in windows.size)
    rows = windows.row[:, None] // stride + np.arange(h)
    columns = (windows.column[:, None] // stride + np.arange(w)) % made.shape[-1]
    time = windows.time[:, 0][:, None, None]
    out = np.moveaxis(made[time, :, rows[:, :, None], columns[:, None, :]].astype(np.float32), -1, 1)
    mirrored = windows.mirrored
    out[mirrored] = out[mirrored][:, :, ::-1]
    for channel in odd_channels:
        out[mirrored, channel] *= -1
    return out


def finite_mean(loss: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of `loss` where `counts` is true, zero where nothing counts. Elsewhere it may be NaN."""
    return torch.where(counts, loss, 0.0).sum() / counts.sum().clamp(min=1)
