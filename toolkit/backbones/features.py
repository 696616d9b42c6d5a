"""What a backbone takes in and gives out, as values that can be saved, compared and refused."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class FeatureSpec:
    """Inputs and features of a backbone.

    A window is planes (frame x variable, then the sine of latitude), h and w divisible by `patch`; NaN is missing.
    Features are tokens (b, h w / patch^2, dim), row by row from the north-west. `grid_degrees` is the spacing of the
    pixels; `units` belong to `variables`; `frames` are hours relative to the analysis time, oldest first.
    """

    variables: tuple[str, ...]
    units: tuple[str, ...]
    frames: tuple[int, ...]
    grid_degrees: float
    patch: int
    dim: int

    @property
    def planes(self) -> int:
        """Number of input planes: one per frame and variable, and one for the latitude."""
        return len(self.frames) * len(self.variables) + 1


def planes(windows: NDArray[np.float32], latitudes: NDArray[np.float64]) -> Tensor:
    """Return the input planes (b, t c + 1, h, w) of windows (b, t, c, h, w), their rows at latitudes (b, h)."""
    b, t, c, h, w = windows.shape
    x = torch.empty(b, t * c + 1, h, w)
    x[:, :-1] = torch.from_numpy(windows).reshape(b, t * c, h, w)
    x[:, -1] = torch.from_numpy(np.sin(np.radians(latitudes))).float()[:, :, None]
    return x
