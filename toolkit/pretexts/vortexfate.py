"""Vortex fate: which vortices of the present are coherent, and what they are like over the days around.

Vortices are found and followed automatically (`toolkit.pretexts.tracking`). At each of them the targets say how much
it turns and converges on average over the two days around, whether it lives on for 24 h, and where it then is: what
tells a cyclone that is fed from an eddy that is about to fade, and what a single analysis shows only under its errors.
No best track enters.
"""

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.data.windows import Windows, to_pixels
from toolkit.pretexts.contract import Encoder, Pretext, Readout, Target, Views, finite_mean, token_grid, unpatched
from toolkit.pretexts.readouts import VORTEX_FATE
from toolkit.pretexts.tracking import VARIABLES, coherent_vortices

HOURS = 24
SPREAD = 1.1
"""Standard deviation (pixels) of the bump that marks a centre."""
REACH = 2
"""Pixels around a centre at which the vortex's values are stated."""
SCALES = (4.0, 1.0, 1.0, 500.0, 500.0)
"""Typical vorticity, convergence (standard deviations), lives_on, displacement eastward and poleward (km)."""
CHANNELS = 1 + len(SCALES)
FIRST_LOGIT = -4.0


def read_vortices(made: np.ndarray, store: Store, windows: Windows) -> np.ndarray:
    """Return (b, 6, h, w): a bump of height 1 at each vortex; its values in `SCALES` around it, NaN elsewhere.

    Where two are near, each pixel has the values of the nearer one. In a mirrored window, poleward counts as north.
    """
    h, w = windows.size
    first, last = (np.searchsorted(made[:, 0], windows.time[:, 0], side) for side in ("left", "right"))
    window = np.repeat(np.arange(len(windows)), last - first)
    vortices = made[np.concatenate([np.arange(*span) for span in zip(first, last, strict=True)])]
    y, x = to_pixels(store, windows, window, vortices[:, 1], vortices[:, 2])
    inside = (y > -REACH) & (y < h - 1 + REACH) & (x > -REACH) & (x < w - 1 + REACH)
    window, vortices, y, x = window[inside], vortices[inside], y[inside], x[inside]
    values = vortices[:, 3:] / np.array(SCALES, np.float32)
    values[:, 4] *= np.where(windows.mirrored[window], -1, 1)
    out = np.full((len(windows), CHANNELS, h, w), np.nan, np.float32)
    out[:, 0] = 0
    around = np.arange(-REACH, REACH + 1)
    for dy, dx in np.stack(np.meshgrid(around, around, indexing="ij"), -1).reshape(-1, 2):
        row, column = np.rint(y).astype(int) + dy, np.rint(x).astype(int) + dx
        bump = np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * SPREAD**2))
        on = np.flatnonzero((row >= 0) & (row < h) & (column >= 0) & (column < w))
        on = on[np.argsort(bump[on])]  # the nearest is written last
        on = on[bump[on] > out[window[on], 0, row[on], column[on]]]
        out[window[on], 0, row[on], column[on]] = bump[on]
        out[window[on], 1:, row[on], column[on]] = values[on]
    return out


def vortexfate_loss(module: nn.Module, encode: Encoder, views: Views) -> Tensor:
    """Return the cross-entropies of the bump and of living on, and the Huber loss of the other values.

    The bump's is a sum per vortex over all pixels, the others are means over the pixels around vortices.
    """
    tokens, truth = encode(views.seen), views.drawn["vortexfate"]["vortices"]
    said = _pixels(module, tokens, (truth.shape[-2], truth.shape[-1]))
    bump = truth[:, 0]
    there = nn.functional.binary_cross_entropy_with_logits(said[:, 0], bump, reduction="sum") / bump.sum().clamp(min=1)
    known = truth.isfinite()
    stated = truth.nan_to_num(0.0)
    lives = nn.functional.binary_cross_entropy_with_logits(said[:, 3], stated[:, 3], reduction="none")
    parts = [finite_mean(lives, known[:, 3])]
    for channel in (1, 2, 4, 5):
        error = nn.functional.smooth_l1_loss(said[:, channel], stated[:, channel], reduction="none", beta=0.3)
        parts.append(finite_mean(error, known[:, channel]))
    return 0.5 * there + torch.stack(parts).sum()


def _pixels(module: nn.Module, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    grid = token_grid(tokens.shape[1], size)
    patch = size[0] // grid[0]
    return unpatched(module(tokens).reshape(*tokens.shape[:2], CHANNELS, patch**2), patch, grid)


def _read(module: nn.Module, tokens: Tensor, grid: tuple[int, int], spec: FeatureSpec) -> Tensor:
    said = _pixels(module, tokens, (grid[0] * spec.patch, grid[1] * spec.patch))
    there, lives = said[:, :1].sigmoid(), said[:, 3:4].sigmoid()
    return torch.cat([there, there * said[:, 1:3], there * lives, said[:, 4:]], 1)


def _module(spec: FeatureSpec) -> nn.Module:
    module = nn.Linear(spec.dim, CHANNELS * spec.patch**2)
    with torch.no_grad():
        module.bias[: spec.patch**2] = FIRST_LOGIT
    return module


PRETEXT = Pretext(
    name="vortexfate",
    summary="Find the vortices that can be followed, and say how they fare",
    module=_module,
    loss=vortexfate_loss,
    targets={"vortices": Target(HOURS, coherent_vortices, read_vortices, made_of=VARIABLES)},
    readout=Readout(
        VORTEX_FATE,
        "probability, then times it: 4 and 1 standard deviations, probability; 500 km",
        lambda _: CHANNELS,
        _read,
    ),
)
"""The readout: probability of a coherent vortex; times it, vorticity, convergence, probability of living on; and the
displacement eastward and poleward."""
