"""What a pretext is: an objective that needs no labels, as values and plain functions."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store


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

    Either fields of the store `hours` later (variables of the store, normalised), or an array made once from the store
    by `make`: (time, channel, rows / stride, columns / stride), NaN where unknown, odd channels changing sign when
    a southern window is mirrored.
    """

    hours: int = 0
    make: Callable[[Store], np.ndarray] | None = None
    stride: int = 1
    odd_channels: tuple[int, ...] = ()


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


def finite_mean(loss: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of `loss` where `counts` is true, zero where nothing counts. Elsewhere it may be NaN."""
    return torch.where(counts, loss, 0.0).sum() / counts.sum().clamp(min=1)
