"""Two windows of the same place some steps apart: which lags there are, and how a pair is shown to a backbone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.errors import UserError
from toolkit.pretexts.contract import token_grid

FEWEST = 3
"""Lags that are needed for a slope over the upper half of them."""


@dataclass(frozen=True)
class Lags:
    """The lags of 1 to `count` steps of `step_hours`; class k of a classifier is the lag of k + 1 steps.

    Raises `UserError` for fewer than three lags, and for a step that is no positive number of hours.
    """

    count: int
    step_hours: int

    def __post_init__(self) -> None:
        if self.count < FEWEST:
            raise UserError(f"{self.count} classes of time apart are too few. Take {FEWEST} or more.")
        if self.step_hours < 1:
            raise UserError(f"A step of {self.step_hours} h leads to no later time. Take the hours between two frames.")

    @property
    def hours(self) -> tuple[int, ...]:
        """All lags in hours, ascending."""
        return tuple(self.step_hours * steps for steps in range(1, self.count + 1))

    @property
    def upper(self) -> slice:
        """The upper half of the lags, with the middle one where their number is odd."""
        return slice(self.count // 2, None)

    @property
    def middle(self) -> int:
        """Class of the middle lag, the longer one of two."""
        return self.count // 2


def last_frame(x: Tensor, spec: FeatureSpec) -> Tensor:
    """Return windows (b, planes, h, w) of which all frames but the last are missing; with one frame, `x` itself.

    A later window that held its earlier frames too would, after a short lag, share a frame with the first: the lag
    could be read off without knowing anything of the weather.
    """
    if len(spec.frames) == 1:
        return x
    shown = x.clone()
    shown[:, : -1 - len(spec.variables)] = torch.nan
    return shown


def as_maps(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Return tokens (b, n, d) of windows of `size` (h, w) pixels as maps (b, d, rows, columns)."""
    return tokens.transpose(1, 2).unflatten(2, token_grid(tokens.shape[1], size))
