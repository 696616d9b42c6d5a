"""What the channels of a layer answer to windows of a store, and how selective they are."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.backbones.features import planes
from toolkit.backbones.weights import Backbone
from toolkit.data.store import Store
from toolkit.data.windows import Windows, read_windows, window_latitudes
from toolkit.errors import UserError
from toolkit.pretexts.contract import token_grid
from toolkit.told import Told

CHUNK = 128


def last_layer(backbone: Backbone) -> str:
    """Return the name of the layer that puts out the backbone's features."""
    return [name for name, _ in backbone.module.named_children()][-1]


def activations(backbone: Backbone, x: Tensor, layer: str) -> Tensor:
    """Return what a layer puts out for windows (b, planes, h, w) as maps (b, channels, rows, columns).

    Tokens (b, n, d) become maps row by row. `UserError` for an unknown layer, or for one that puts out no such thing.
    """
    found, (h, w) = backbone.module.features(x, layer), x.shape[-2:]
    if found.ndim == 3:
        rows, columns = token_grid(found.shape[1], (h, w))
        if rows * columns == found.shape[1] and rows * w == columns * h:
            return found.transpose(1, 2).unflatten(2, (rows, columns))
    if found.ndim == 4 and found.shape[2] * w == found.shape[3] * h and found.shape[2] <= h:
        return found
    raise UserError(
        f"The layer {layer} puts out {tuple(found.shape)} for windows of {h} x {w}, which are no channels on a map. "
        f"Take a layer around it, such as {layer.rpartition('.')[0] or last_layer(backbone)}."
    )


@torch.no_grad()
def responses(
    backbone: Backbone, store: Store, windows: Windows, layer: str, told: Told | None = None
) -> NDArray[np.float32]:
    """Return the activations (n, channels, rows, columns) of a layer for all windows of a store."""
    found = []
    for first in range(0, len(windows), CHUNK):
        index = np.arange(first, min(first + CHUNK, len(windows)))
        values = read_windows(store, windows, index, backbone.card.normalisation)
        x = planes(values, window_latitudes(store, windows, index))
        found.append(activations(backbone, x, layer).numpy())
        if told:
            told.share((index[-1] + 1) / len(windows))
    return np.concatenate(found)


def selectivity(answers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how rare and how strong the high activations of each channel are, (channels,) from (n, channels, ...).

    The upper half of the kurtosis, E[max(a - E[a], 0)^4] / E[(a - E[a])^2]^2 over windows and tokens: 1.5 for a
    Gaussian, larger where a few tokens excite the channel far above the others; 0 for a channel that never changes.
    """
    found = []
    for channel in range(answers.shape[1]):
        departure = answers[:, channel].astype(np.float64)
        departure -= departure.mean()
        square = np.square(departure).mean()
        found.append((np.maximum(departure, 0) ** 4).mean() / square**2 if square else 0.0)
    return np.array(found)
