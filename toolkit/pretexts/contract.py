"""What a pretext is: an objective that needs no labels, as values and plain functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec, planes
from toolkit.data.normalise import Normalisation
from toolkit.data.store import Store
from toolkit.data.windows import Windows, frames_at, read_windows, window_latitudes

Drawn = Mapping[str, Tensor]


@dataclass(frozen=True)
class Views:
    """One batch as the backbone sees it and as it was.

    `clean` and `seen` are windows (b, planes, h, w), of which `seen` has more missing (NaN); `hidden`
    (b, n, planes - 1) says which token and plane was hidden; `drawn` holds, by the pretext's name, what each pretext
    asked for: its targets (b, c, h, w) and what it drew itself, by name.
    """

    clean: Tensor
    seen: Tensor
    hidden: Tensor
    drawn: Mapping[str, Drawn]

    def to(self, device: str | torch.device, non_blocking: bool = False) -> "Views":
        """Return the views on another device."""
        return self._each(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Views":
        """Return the views in memory that a GPU can copy from while it computes."""
        return self._each(Tensor.pin_memory)

    def _each(self, done: Callable[[Tensor], Tensor]) -> "Views":
        drawn = {name: {key: done(value) for key, value in own.items()} for name, own in self.drawn.items()}
        clean = done(self.clean)
        seen = clean if self.seen is self.clean else done(self.seen)  # what is the same is encoded once
        return Views(clean, seen, done(self.hidden), drawn)


class Encoder(Protocol):
    """The backbone during one step. What is asked for again is not computed again."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the tokens (b, n, d) of windows (b, planes, h, w) of any size that the backbone takes."""
        ...

    def teacher(self, name: str, x: Tensor) -> Tensor:
        """Return what the slowly following copy of backbone and module of the pretext `name` says of windows."""
        ...


@dataclass(frozen=True, eq=False)
class Place:
    """Where and when the windows of a batch lie, to be read again at other times.

    times (b,): index of each window's analysis time in the store.
    """

    store: Store
    windows: Windows
    times: NDArray[np.integer]
    spec: FeatureSpec
    normalisation: Normalisation

    def planes(self, hours: NDArray[np.integer]) -> Tensor:
        """Return the input planes (b, planes, h, w) so many hours (b,) later; frames that do not exist are NaN."""
        every, later = np.arange(len(self.windows)), self.store.time[self.times] + hours.astype("timedelta64[h]")
        there = replace(self.windows, time=frames_at(self.store, later, self.spec.frames))
        return planes(
            read_windows(self.store, there, every, self.normalisation), window_latitudes(self.store, there, every)
        )


@dataclass(frozen=True)
class Target:
    """A field that is not an input, to be read at the windows of a batch.

    Fields of the store `hours` later (variables of the store, normalised); or, where there is a `make`, what was made
    once from the store, as far as `hours` after each time: `read(made, store, windows at that time)` -> (b, c, h, w)
    / stride, NaN where unknown. Windows begin at multiples of the stride.
    made_of: variables of the store that `make` needs, which the store then holds whatever the backbone sees.
    """

    hours: int
    make: Callable[[Store], np.ndarray] | None = None
    read: Callable[[np.ndarray, Store, Windows], np.ndarray] | None = None
    stride: int = 1
    # The winds by name: toolkit.data.sources, which has them, would bring xarray wherever a backbone is loaded.
    made_of: tuple[str, ...] = ("eastward_wind", "northward_wind")


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


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained pretext, to be examined: what encodes windows, its module, and how windows are made for it."""

    encode: Encoder
    module: nn.Module
    spec: FeatureSpec
    normalisation: Normalisation
    size: tuple[int, int]


@dataclass(frozen=True)
class Pretext:
    """A self-supervised objective: the module that sits on the tokens, and its loss.

    loss(module, encode, views) -> scalar, of order one, so that weights of several pretexts can be compared.
    `encode(views.seen)` is what all pretexts of a run share; a pretext may encode other windows too.
    targets: fields to be read at the windows, by name. hours: how much later than its frames the windows must exist.
    draw(place, generator) -> what else it needs of the windows, {name: (b, ...)}, depending on the generator alone.
    measures(module, encode, views) -> numbers beside the loss that say how good it is, {name: mean over the batch}.
    teacher: momentum, at the start, of a slowly following copy of backbone and module that the loss learns from.
    of_hidden: whether what is hidden from `views.seen` is all that it learns from.
    examine(learned, stores, folder): writes tables and pictures of what was learned, from worlds that are held out.
    """

    name: str
    summary: str
    module: Callable[[FeatureSpec], nn.Module]
    loss: Callable[[nn.Module, Encoder, Views], Tensor]
    targets: Mapping[str, Target] = field(default_factory=dict)
    hours: tuple[int, ...] = ()
    draw: Callable[[Place, np.random.Generator], dict[str, Tensor]] | None = None
    measures: Callable[[nn.Module, Encoder, Views], dict[str, Tensor]] | None = None
    readout: Readout | None = None
    teacher: float | None = None
    of_hidden: bool = False
    examine: Callable[[Learned, Sequence[Store], Path], None] | None = None


def token_grid(count: int, size: Sequence[int]) -> tuple[int, int]:
    """Return the rows and columns of `count` tokens, each of a square patch, of a window of `size` (h, w)."""
    h, w = size
    rows = max(1, round((count * h / w) ** 0.5))
    return rows, count // rows


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
    """Return the mean of `loss` where `counts` is true, zero where nothing counts.

    Elsewhere it may be NaN, but where it was computed from weights their gradient is then NaN too.
    """
    return torch.where(counts, loss, 0.0).sum() / counts.sum().clamp(min=1)


def mean_squared(said: Tensor, true: Tensor) -> Tensor:
    """Return the mean of (said - true)^2 where `true` is finite, zero where it nowhere is; so is the gradient."""
    known = true.isfinite()
    return finite_mean(torch.where(known, said - true, 0.0) ** 2, known)
